"""Who spends what in a step: time, calls, waits and memory, each given to the layer at work.

While a `Recorder` is on, every layer that is called takes over, and hands back when it is done; so
does every node of the tape on the way back, for the layer that recorded it. So each moment of a
step is somebody's, and nobody's twice. See ``profiling.py`` for what is done with it.
"""

import bisect
import contextlib
import functools
import threading
from dataclasses import dataclass, field
from time import perf_counter

from lamina import backend
from lamina.autograd import Tensor, clock, vertex_of
from lamina.autograd._sweep import nodes_behind
from lamina.autograd._tape import Node
from lamina.backend._replacing import Replacements
from lamina.layers import Layer


@dataclass
class Cost:
    """What a layer spent on one way through the network.

    Attributes:
        seconds: time in which it and no layer inside of it was at work.
        launches: calls of the array library that compute something, see ``backend/calls.py``.
        waits: reads for which the host waits where arrays lie on a device.
        memory: bytes: forward, of what it keeps for the way back; backward, of the gradients it
            makes.
    """

    seconds: float = 0.0
    launches: int = 0
    waits: int = 0
    memory: int = 0


@dataclass
class Row:
    """A line of a profile: a layer, or another part of the step.

    Attributes:
        name: the layer's name; "loss", "optimizer", or "between" for what is in no layer.
        kind: the layer's class, "" for the other parts.
        calls: how often the layer was called.
        output_shape: the shape of what it last gave, with its batch.
        output: the bytes of that.
        parameters: the bytes of its own weights.
        forward, backward: what it spent on each way.
    """

    name: str
    kind: str = ""
    calls: int = 0
    output_shape: tuple | None = None
    output: int = 0
    parameters: int = 0
    forward: Cost = field(default_factory=Cost)
    backward: Cost = field(default_factory=Cost)


class Recorder:
    """One step under observation, as a ``with`` block; on the thread that opens it.

    One at a time: what two replace in turns, neither could put back.

    Args:
        place: the backend of the model.
        counts: whether calls and waits are counted, which takes time and so spoils the clock.

    Attributes:
        between: the row of what is in no layer.
        rows: a row for every layer that was called, in the order of their first calls.
    """

    rehearse = True  # what would wait on a device is told of on the host as well

    def __init__(self, place, counts: bool):
        self.place = place
        self.between = Row("between")
        self.rows: list[Row] = []
        self._of_layer: dict[Layer, Row] = {}
        self._counts = counts
        self._replacements = Replacements()
        self._now = self.between
        self._way = "forward"
        self._turns = [(-1, self.between)]  # from which number on the tape is whose

    def __enter__(self) -> "Recorder":
        self._thread = threading.get_ident()
        with contextlib.ExitStack() as undoing:
            undoing.callback(self._replacements.restore)
            replace = self._replacements.replace
            replace(Layer, "_computed", self._watched_call)
            for kind in _with_subclasses(Node):
                if "pull" in vars(kind):
                    replace(kind, "pull", self._watched_pull)
            if self._counts:
                undoing.enter_context(backend.calls.counting(self.place, self._called))
                backend.waits.watch(self)
                undoing.callback(backend.waits.unwatch, self)
            self.place.synchronize()
            self._undoing = undoing.pop_all()
        self._since = self._start = perf_counter()
        return self

    def __exit__(self, *exc_info) -> None:
        with self._undoing:
            self._turn(self.between)
        self.seconds = self._since - self._start

    def part(self, row: Row, way: str):
        """A block whose costs are those of ``row``."""
        return _Part(self, row, way)

    def met(self, call, place, remedy, meant) -> None:
        """Take note of a wait; see ``backend/waits.py``."""
        getattr(self._now, self._way).waits += 1

    def look_at_tape(self, roots, model, batch) -> None:
        """Give every array that the tape keeps to the layer of the first node that does.

        Args:
            roots: the tensors that the way back begins with.
            model, batch: whose weights and arrays are there anyway.
        """
        if not self._counts:
            return
        seen = {id(_owner(array)) for array in (*batch, *[p.data for p in model.weights])}
        for node in nodes_behind(map(vertex_of, roots), ()):
            cost = self._row_of(node).forward
            for array in _arrays([getattr(node, name, None) for name in _slots(type(node))], set()):
                owner = _owner(array)
                if id(owner) not in seen:
                    seen.add(id(owner))
                    cost.memory += self.place.size_of(owner)

    def _called(self, name) -> None:
        getattr(self._now, self._way).launches += 1

    def _turn(self, row, way=None) -> None:
        """From now on it is the turn of ``row``: what came before goes to whose it was."""
        self.place.synchronize()
        now = perf_counter()
        getattr(self._now, self._way).seconds += now - self._since
        self._since, self._now = now, row
        if way is not None:
            self._way = way

    def _row_of(self, node) -> Row:
        return self._turns[bisect.bisect_right(self._turns, node.index, key=_number) - 1][1]

    def _watched_call(self, original):
        @functools.wraps(original)
        def computed(layer, inputs, training):
            if threading.get_ident() != self._thread:
                return original(layer, inputs, training)
            row = self._of_layer.get(layer)
            if row is None:
                row = self._of_layer[layer] = Row(layer.name, type(layer).__name__)
                row.parameters = sum(self.place.size_of(p.data) for p in layer.own_weights())
                self.rows.append(row)
            before = self._now
            self._take_over(row)
            try:
                out = original(layer, inputs, training)
            finally:
                self._take_over(before)
            row.calls += 1
            if isinstance(out, Tensor):
                row.output_shape = tuple(out.shape)
                row.output = self.place.size_of(out.data)
            return out

        return computed

    def _take_over(self, row) -> None:
        self._turn(row)
        self._turns.append((next(clock), row))

    def _watched_pull(self, original):
        @functools.wraps(original)
        def pull(node, g):
            if threading.get_ident() != self._thread:
                return original(node, g)
            before, row = self._now, self._row_of(node)
            self._turn(row)
            try:
                found = list(original(node, g))
            finally:
                self._turn(before)
            for _, gradient in found:
                if backend.is_array(gradient) and gradient is not g:
                    row.backward.memory += self.place.size_of(gradient)
            return found

        return pull


class _Part:
    def __init__(self, recorder, row, way):
        self._recorder, self._row, self._way = recorder, row, way

    def __enter__(self):
        recorder = self._recorder
        self._before = recorder._now, recorder._way
        recorder._turn(self._row, self._way)
        recorder._turns.append((next(clock), self._row))

    def __exit__(self, *exc_info):
        self._recorder._turn(*self._before)
        self._recorder._turns.append((next(clock), self._before[0]))


def _number(turn):
    return turn[0]


def _with_subclasses(kind):
    yield kind
    for other in kind.__subclasses__():
        yield from _with_subclasses(other)


def _slots(kind) -> list[str]:
    return [name for k in kind.__mro__ for name in vars(k).get("__slots__", ())]


def _owner(array):
    """The array whose memory this one looks at."""
    while backend.is_array(getattr(array, "base", None)):
        array = array.base
    return array


def _arrays(value, seen):
    """The arrays that a kept value holds: in containers, and in what functions remember."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        value = value.data
    if isinstance(value, Node):
        return  # an edge of the tape, which keeps for itself
    if backend.is_array(value):
        yield value
    elif isinstance(value, list | tuple | set):
        for part in value:
            yield from _arrays(part, seen)
    elif isinstance(value, dict):
        yield from _arrays(list(value.values()), seen)
    elif isinstance(value, functools.partial):
        yield from _arrays([value.func, *value.args, value.keywords], seen)
    elif callable(value):
        yield from _arrays(list(getattr(value, "__defaults__", None) or ()), seen)
        for cell in getattr(value, "__closure__", None) or ():
            yield from _arrays(_content(cell), seen)
        if not isinstance(value, type):
            yield from _arrays(getattr(value, "__dict__", {}), seen)


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None
