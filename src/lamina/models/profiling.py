"""profile: what a step costs, layer by layer."""

import contextlib
import threading
from dataclasses import dataclass
from time import perf_counter

from lamina import backend
from lamina.autograd import Parameter, no_grad, sweep
from lamina.errors import unknown
from lamina.layers._casting import widened
from lamina.layers._passes import Pass
from lamina.losses import prepare
from lamina.models import forward
from lamina.models.feeding import Feed
from lamina.models.forward import outputs_of
from lamina.models.model import Model
from lamina.models.recorder import Cost, Recorder, Row
from lamina.models.step import Step, _weighted_sum

_REPEATS = 5
_taken = threading.Lock()


@dataclass
class Profile:
    """What one step of a model cost; printed, it is a table, with outputs without their batch and
    bytes in K, M and G of 1024.

    Attributes:
        rows: for every layer that was called, then "loss" and "optimizer" where the step was one of
            training, then "between": what is in no layer, such as adding up gradients, and the
            recorder's own time.
        seconds: the time of the step that was recorded, layer by layer, on one tape: the sum of
            all rows.
        as_run: the time that the same step takes as ``fit`` or ``predict`` run it, which may cut
            the batch among threads and leave out the tape; without metrics and callbacks.
        batch: the number of samples.
        place: the backend, such as "numpy" or "cupy:0".
    """

    rows: list[Row]
    seconds: float
    as_run: float
    batch: int
    place: str

    def __getitem__(self, name: str) -> Row:
        """The row of that name."""
        for row in self.rows:
            if row.name == name:
                return row
        raise unknown("row of this profile", name, [row.name for row in self.rows])

    @property
    def total(self) -> Row:
        """All rows added up."""
        whole = Row("total", calls=sum(row.calls for row in self.rows))
        whole.parameters = sum(row.parameters for row in self.rows)
        whole.output = sum(row.output for row in self.rows)
        for way in ("forward", "backward"):
            costs = [getattr(row, way) for row in self.rows]
            names = ("seconds", "launches", "waits", "memory")
            setattr(whole, way, Cost(*(sum(getattr(c, n) for c in costs) for n in names)))
        return whole

    def __str__(self) -> str:
        lines = [_TITLES, *map(_cells, self.rows), _cells(self.total)]
        if self.total.backward == Cost():
            lines = [line[:3] + [line[i] for i in _FORWARD] for line in lines]
        columns = list(zip(*lines, strict=True))[1:]
        widths = [max(map(len, column)) for column in columns]
        room = max(_LEAST, WIDTH - sum(widths) - len(widths))
        names = [_name(row, room) for row in (*self.rows, self.total)]
        widths.insert(0, max(map(len, names)))
        for line, name in zip(lines[1:], names, strict=True):
            line[0] = name
        text = [" ".join(_placed(line, widths)).rstrip() for line in lines]
        rule = "-" * max(map(len, text))
        return "\n".join(
            [
                f"one step on {self.place}, {self.batch} samples: "
                f"{_milliseconds(self.seconds)} ms layer by layer, "
                f"{_milliseconds(self.as_run)} ms as it is run",
                rule,
                text[0],
                rule,
                *text[1:-1],
                rule,
                text[-1],
            ]
        )


WIDTH = 100  # most columns of a table
_LEAST = 12  # least of them for names
_TITLES = [
    "layer", "output", "forward ms", "backward ms", "calls", "back", "waits", "kept", "grads",
    "weights",
]  # fmt: skip
_FORWARD = (4, 6, 9)  # what there is to say from the fourth column on of a step without way back


def _cells(row: Row) -> list[str]:
    forward, backward = row.forward, row.backward
    return [
        "",
        " x ".join(map(str, (row.output_shape or ())[1:])),
        _milliseconds(forward.seconds),
        _milliseconds(backward.seconds),
        str(forward.launches),
        str(backward.launches),
        str(forward.waits + backward.waits),
        _bytes(forward.memory),
        _bytes(backward.memory),
        _bytes(row.parameters),
    ]


def _name(row: Row, room: int) -> str:
    """The layer's name, with its class where there is room and it says more."""
    times = f" x{row.calls}" if row.kind and row.calls > 1 else ""
    plain = row.name.rstrip("0123456789").replace("_", "")
    more = "" if row.kind.lower() in ("", plain, row.name.replace("_", "")) else f" ({row.kind})"
    if len(row.name + more + times) > room:
        more = ""
    over = len(row.name + times) - room
    if over <= 0:
        return row.name + more + times
    half = (len(row.name) - over - 2) // 2
    return f"{row.name[:half]}..{row.name[half + over + 2 :]}{times}"


def _placed(cells, widths) -> list[str]:
    left = [cell.ljust(width) for cell, width in zip(cells[:2], widths[:2], strict=True)]
    return left + [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3f}"


def _bytes(count: int) -> str:
    power = 0
    while power < 3 and count >= 1000 * 1024**power:
        power += 1
    return f"{count / 1024**power:.1f}{'KMG'[power - 1]}" if power else str(count)


def profile(model, x, y=None) -> Profile:
    """What a step costs, layer by layer: time, calls of the array library, waits and memory.

    With ``y`` it is a step of training: forward, loss, backward and the optimizer, as the model was
    compiled; without, the way forward as ``predict`` takes it. Matrix products use as many threads
    layer by layer as they do in the step as it is run. The step is recorded once for its
    counts and a few times for the clock, of which the quickest counts. On a GPU the host waits for
    the device wherever a layer ends, so that times are each layer's own; their sum is then more
    than the step takes.

    Nothing of the model changes: neither weights nor moving averages, nor the optimizer's state,
    nor the random numbers to come; the optimizer's step is done on copies. A model that does not
    know its input shape yet is built for ``x``.

    Args:
        model: a ``Model``; compiled where ``y`` is given.
        x: a batch of inputs, as ``train_on_batch`` takes them.
        y: its targets.

    Returns:
        a ``Profile``. "calls" counts calls of the library's functions that compute something, and
        where its arrays are a class of Python (CuPy's, not NumPy's) operators: about the kernels
        that a GPU is given, see ``backend/calls.py``. "waits" counts reads that stop the host on a
        device, also where there is none. "kept" are the arrays that a layer holds for the way back.

    Raises:
        TypeError: for what is no model.
        RuntimeError: with ``y`` before ``compile``; where another profile is being taken.
        ValueError: for data that does not fit.

    Example:
        >>> print(lamina.profile(model, x[:128], y[:128]))
    """
    if not isinstance(model, Model):
        raise TypeError(
            f"profile takes a lamina.Model, got {type(model).__name__}: put layers into "
            "lamina.Sequential([...])"
        )
    if y is not None:
        model._require_compiled("profile", loss=True)
    x, y, _ = Feed(model, model.loss if y is not None else None, only_x=y is None).batch(x, y)
    place = model.backend
    backend.memory.keep()
    with _alone(), place.scope(), backend.quiet():
        run = _Use(model, x) if y is None else _Training(model, x, y)
        run.as_it_is()  # which finds out how batches are cut
        with backend.blas.one_thread() if run.one_thread_each() else contextlib.nullcontext():
            run.once(Recorder(place, counts=False))  # whatever is made once is made now
            counted = run.once(Recorder(place, counts=True))
            times = [run.once(Recorder(place, counts=False)) for _ in range(_REPEATS)]
        timed = min(times, key=_time)
        as_run = min(_seconds(place, run.as_it_is) for _ in range(_REPEATS))
    for row, clock in zip(counted.all_rows, timed.all_rows, strict=True):
        row.forward.seconds = clock.forward.seconds
        row.backward.seconds = clock.backward.seconds
    return Profile(counted.all_rows, timed.seconds, as_run, x.shape[0], str(place))


@contextlib.contextmanager
def _alone():
    """A block for one profile at a time."""
    if not _taken.acquire(blocking=False):
        raise RuntimeError(
            "another profile is being taken: profile one model at a time, on one thread"
        )
    try:
        yield
    finally:
        _taken.release()


def _time(recorder) -> float:
    return recorder.seconds


def _seconds(place, function) -> float:
    place.synchronize()
    start = perf_counter()
    function()
    place.synchronize()
    return perf_counter() - start


class _Use:
    """The way forward, to be recorded."""

    def __init__(self, model, x):
        self.model, self.x = model, x

    def once(self, recorder):
        with recorder, no_grad(), Pass():
            self.model(self.x)
        recorder.all_rows = [*recorder.rows, recorder.between]
        return recorder

    def as_it_is(self) -> None:
        with no_grad():
            outputs_of(self.model, self.x)

    def one_thread_each(self) -> bool:
        return forward.one_thread_each(self.model, self.x.shape[0])


class _Training:
    """A step of training that leaves the model as it is, to be recorded."""

    def __init__(self, model, x, y):
        self.model, self.x, self.y = model, x, y
        self.step = self._new_step()
        self.whole = self._new_step()
        self.optimizer = _copied(model.optimizer, self.step.parameters)

    def _new_step(self) -> Step:
        step = Step(self.model, self.model.loss, self.model._loss_weight)
        step.refresh()
        step.number = self.model._step.number
        return step

    def once(self, recorder):
        step, place, rows = self.step, self.model.backend, self.x.shape[0]
        loss, optimizer = Row("loss"), Row("optimizer")
        with recorder:
            with Pass(step.number) as current:
                outputs = self.model(self.x, training=True)
            if not outputs.requires_grad:
                raise ValueError(step._nothing_to_train())
            with recorder.part(loss, "forward"):
                outputs = widened(outputs)
                y = prepare(self.y, outputs, step.loss)
                values = step.loss.call(y, outputs)
                if step._per_sample is None:
                    step._look_at_loss(y, outputs, values)
                total = step._total(self.y, None) if step._masks else None
                seed = step._seed(values, y, rows, rows, None, total)
                _weighted_sum(values.data, seed)
            roots = [(values, seed)]
            for extra in current.losses:
                if getattr(extra, "requires_grad", False):
                    roots.append((extra, place.xp.ones_like(extra.data)))
            recorder.look_at_tape([root for root, _ in roots], self.model, (self.x, self.y))
            with recorder.part(recorder.between, "backward"):
                found = sweep(roots)
                gradients = [found.get(p) for p in step.parameters]
                for parameter, new in current.updates:
                    new(parameter.data)
            with recorder.part(optimizer, "backward"):
                self.optimizer.apply_shards([gradients])
        del found, gradients, values, outputs, roots, current
        recorder.all_rows = [*recorder.rows, loss, optimizer, recorder.between]
        return recorder

    def as_it_is(self) -> None:
        self.whole.number = self.step.number  # the same random numbers, whatever came before
        parts = self.whole.gradients(self.x, self.y, None)
        self.optimizer.apply_shards([part.gradients for part in parts])

    def one_thread_each(self) -> bool:
        return self.whole.one_thread_each(self.x.shape[0])


def _copied(optimizer, parameters):
    """An optimizer in the same state for copies of the parameters."""
    copies = []
    for p in parameters:
        data = backend.namespace(p.data).asarray(p.data, copy=True)
        copies.append(Parameter(data, p.name, constraint=p.constraint))
    ours = type(optimizer).from_config(optimizer.get_config())
    excluded = [
        copy
        for copy, p in zip(copies, parameters, strict=True)
        if any(p is other for other in optimizer._undecayed_parameters)
    ]
    ours.exclude_from_weight_decay(excluded, optimizer._undecayed_names)
    ours.build(copies)
    if optimizer.built:
        ours.set_state(optimizer.state())
    return ours
