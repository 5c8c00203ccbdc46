"""The tape: what was computed from what. ``_sweep.py`` goes back over it.

A recorded result knows its *vertex*: a ``Node`` with edges to the vertices of the arguments, or,
for a tensor that the user made, the tensor itself (a leaf). Nodes are numbered as they are made, so
descending numbers are a valid order for the sweep.
The engine knows no function by name, and the rules know nothing of the engine.
"""

import functools
import itertools
import threading

from lamina import backend
from lamina.autograd import _debug
from lamina.autograd._tensor import Tensor
from lamina.backend import calls, scatter
from lamina.backend.cofactors import cofactors

clock = itertools.count()
"""Numbers everything that happens: nodes when made, parameters when changed in place."""


class _Mode(threading.local):
    enabled = True


mode = _Mode()


class recording:
    """A block in which computing is recorded, whatever is set outside; enters with what was."""

    def __enter__(self) -> bool:
        self._before = mode.enabled
        mode.enabled = True
        return self._before

    def __exit__(self, *exc_info):
        mode.enabled = self._before


class no_grad:
    """A block, or a decorated function, in which nothing is recorded on this thread.

    Example:
        >>> with lamina.no_grad():
        ...     y = model(x)
    """

    def __enter__(self):
        self._before = mode.enabled
        mode.enabled = False

    def __exit__(self, *exc_info):
        mode.enabled = self._before

    def __call__(self, function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with no_grad():
                return function(*args, **kwargs)

        return wrapped


OWN = object()
"""Stands for a node's own vertex among what the node keeps, which would otherwise be a cycle."""


class Part:
    """Stands, like `OWN`, for one of a node's several results."""

    __slots__ = ("count", "position")

    def __init__(self, position, count):
        self.position = position
        self.count = count


class Node:
    """One recorded step. ``edges`` are tuples whose first item is the vertex of an argument.

    Subclasses say how a gradient passes through: ``pull(g)`` on raw arrays, as often as one likes
    until ``release`` drops what was kept; ``pull_tensors(g)`` on tensors, recorded again; and
    ``likes``, of what shape and dtype the arguments were, as (vertex, shape, dtype). Of those that
    keep values, ``empty`` drops these but for their vertices, which it returns, and
    ``take(other, vertices)`` has them from another node: see ``_checkpoint.py``.
    """

    __slots__ = ("edges", "index", "layer", "line", "name", "source")
    changed_at = -1  # as tensors have it: what a node computed never changes

    def __init__(self, name, edges):
        self.index = next(clock)
        self.name = name
        self.edges = edges
        if _debug.enabled:
            self.layer, self.line = _debug.current_layer(), _debug.current_line()

    def likes(self):
        return ()

    def refill(self):
        """Have the values again that were dropped to be computed again."""
        source = getattr(self, "source", None)
        if source is None:
            raise released(self)
        segment, place, vertices = source
        self.take(segment.node(place), vertices)
        del self.source


class RuleNode(Node):
    """A function of the standard. Edges: (vertex, rule, names of what it uses, shape, dtype).

    Of a function with several results ``g`` is the list of their gradients, None where none came.
    """

    __slots__ = ("kept", "xp")

    def __init__(self, name, edges, kept, xp):
        self.index = next(clock)  # as Node does, without the call
        self.name = name
        self.edges = edges
        self.kept = kept  # by name: (value, vertex or None)
        self.xp = xp
        if _debug.enabled:
            self.layer, self.line = _debug.current_layer(), _debug.current_line()

    def pull(self, g):
        kept = self.kept
        if kept is None:
            self.refill()
            kept = self.kept
        xp = plain(self.xp)
        found = []
        for vertex, rule, names, shape, dtype in self.edges:
            if len(names) == 1:  # most have one
                gradient = rule(xp, g, kept[names[0]][0])
            else:
                gradient = rule(xp, g, *[kept[name][0] for name in names])
            if gradient.shape != shape or gradient.dtype is not dtype:
                gradient = fit(xp, gradient, shape, dtype)
            found.append((vertex, gradient))
        return found

    def pull_tensors(self, g):
        if self.kept is None:
            self.refill()
        from lamina.autograd._namespace import differentiable

        xp = differentiable(self.xp)
        kept = {name: revive(value, vertex, self) for name, (value, vertex) in self.kept.items()}
        for vertex, rule, names, shape, dtype in self.edges:
            yield vertex, fit(xp, rule(xp, g, *[kept[name] for name in names]), shape, dtype)

    def likes(self):
        return [(edge[0], edge[3], edge[4]) for edge in self.edges]

    def empty(self):
        kept, self.kept = self.kept, None
        return {name: vertex for name, (_, vertex) in kept.items()}

    def take(self, other, vertices):
        self.kept = {name: (value, vertices[name]) for name, (value, _) in other.kept.items()}

    def release(self):
        self.kept = None


class KernelNode(Node):
    """An op computed by a kernel. Edges: (vertex, position of the argument)."""

    __slots__ = ("inputs", "kernel", "options", "pullback", "replay", "xp")

    def __init__(self, name, edges, pullback, kernel, replay, inputs, options, xp):
        super().__init__(name, edges)
        self.pullback = pullback  # for one use: it may overwrite what it keeps
        self.kernel = kernel
        self.replay = replay  # the op's definition, for derivatives of derivatives
        self.inputs = inputs  # (value, vertex or None) of every argument
        self.options = options
        self.xp = xp

    def pull(self, g):
        if self.inputs is None:
            self.refill()
        pullback, self.pullback = self.pullback or self._again(), None
        gradients = pullback(g)
        for vertex, position in self.edges:
            yield vertex, gradients[position]

    def _again(self):
        """A fresh pullback."""
        needed = {position for _, position in self.edges}
        needs = tuple([position in needed for position in range(len(self.inputs))])
        return self.kernel(self.xp, needs, *[raw for raw, _ in self.inputs], **self.options)[1]

    def pull_tensors(self, g):
        if self.inputs is None:
            self.refill()
        from lamina.autograd._namespace import differentiable
        from lamina.autograd._sweep import sweep

        positions = [position for _, position in self.edges]
        arguments = [as_tensor(revive(value, vertex, self)) for value, vertex in self.inputs]
        for position in positions:
            arguments[position] = alias(arguments[position])
        out = self.replay(differentiable(self.xp), *arguments, **self.options)
        roots = list(zip(out, g, strict=True)) if isinstance(out, tuple) else [(out, g)]
        wanted = [vertex_of(arguments[position]) for position in positions]
        found = sweep(roots, wanted, create_graph=True)
        for (vertex, _), own in zip(self.edges, wanted, strict=True):
            if own in found:
                yield vertex, found[own]

    def likes(self):
        if self.inputs is None:
            self.refill()
        raws = [(vertex, self.inputs[position][0]) for vertex, position in self.edges]
        return [(vertex, raw.shape, raw.dtype) for vertex, raw in raws]

    def empty(self):
        vertices = [vertex for _, vertex in self.inputs]
        self.pullback = self.inputs = None
        return vertices

    def take(self, other, vertices):
        values = [value for value, _ in other.inputs]
        self.pullback, self.inputs = other.pullback, list(zip(values, vertices, strict=True))

    def release(self):
        self.pullback = self.inputs = None


class Output(Node):
    """One of several results of a node; hands its gradient on to the node's list of them."""

    __slots__ = ("count", "position")

    def __init__(self, parent, position, count):
        super().__init__(parent.name, ((parent,),))
        self.position = position
        self.count = count


class Alias(Node):
    """The same value under a new vertex, so that a gradient can be asked at this very place."""

    __slots__ = ()

    def pull(self, g):
        return ((self.edges[0][0], g),)

    pull_tensors = pull

    def release(self):
        pass


def vertex_of(tensor):
    """Where a tensor stands on the tape: its node, or itself where it is a leaf."""
    return tensor if tensor._node is None else tensor._node


class Variable(Tensor):
    """A leaf by which a function is differentiated: ``ended`` once that function has returned.

    What is computed from it later on, as second derivatives are, is not to be differentiated by it.
    """

    __slots__ = ("ended",)

    def __init__(self, data):
        self.data = data
        self.grad = self._node = None
        self.requires_grad = True
        self.ended = False


def alias(tensor):
    """A tensor of the same value with a vertex of its own."""
    if not tensor.requires_grad:
        return Variable(tensor.data)
    return Tensor._of(tensor.data, Alias("alias", ((vertex_of(tensor),),)))


def as_tensor(value):
    """An array as a constant tensor: some libraries refuse a tensor right of an operator."""
    if isinstance(value, Tensor) or not backend.is_array(value):
        return value
    return Tensor._of(value)


def revive(value, vertex, node):
    """A kept value as it stood on the tape."""
    if vertex is None:
        return value
    if vertex is OWN:
        vertex = node
    elif type(vertex) is Part:
        vertex = Output(node, vertex.position, vertex.count)
    elif vertex.changed_at > node.index:
        raise changed(node)
    return Tensor._of(value, vertex)


def fit(xp, g, shape, dtype):
    """Undo broadcasting and promotion: ``g`` in the argument's own shape and dtype."""
    if g.shape != shape:
        g = sum_to(xp, g, shape)
    if g.dtype == dtype:
        return g
    if xp.isdtype(g.dtype, "complex floating") and not xp.isdtype(dtype, "complex floating"):
        g = xp.real(g)
    return g if g.dtype == dtype else xp.astype(g, dtype)


def sum_to(xp, g, shape):
    """Sum a gradient over the axes along which its argument was broadcast to make it."""
    lead = g.ndim - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, g.shape[lead:], strict=False)):
        return xp.broadcast_to(g, shape)  # a rule may leave axes of 1 to be broadcast
    stretched = tuple(lead + i for i, n in enumerate(shape) if n == 1 and g.shape[lead + i] != 1)
    axes = tuple(range(lead)) + stretched
    return xp.reshape(xp.sum(g, axis=axes), shape) if axes else xp.reshape(g, shape)


class _Plain:
    """A raw namespace, with the few functions that rules need beyond the standard."""

    def __init__(self, xp):
        self._xp = xp
        calls.remembering(vars(self))

    def __getattr__(self, name):
        found = BEYOND.get(name) or raw_function(self._xp, name)
        setattr(self, name, found)
        return found


BEYOND = {name: getattr(scatter, name) for name in ("add_along_axis", "add_at", "setitem_zeros")}
BEYOND["cofactors"] = cofactors
"""Functions on raw arrays that have rules and are not the standard's; primitives add theirs."""


DIFFERENT = frozenset(("argsort", "sort", "linalg.eig", "linalg.eigvals"))
"""Functions with rules, or used by them, that NumPy itself has otherwise than the standard."""


def raw_function(xp, name: str):
    """The function ``name`` of a raw namespace, which may lie in an extension: "linalg.qr"."""
    if name.startswith("linalg.eig") and name in DIFFERENT:
        return functools.partial(backend.spectrum, xp, name.rpartition(".")[2])
    found = backend.whole(xp) if name in DIFFERENT else xp
    for part in name.split("."):
        found = getattr(found, part)
    return found


@functools.cache
def plain(xp) -> _Plain:
    """The namespace that rules see when they run on raw arrays of ``xp``."""
    return _Plain(xp)


def released(node):
    return RuntimeError(
        f"the tape behind {node.name!r} was swept before and its values are released: "
        "compute the result again before asking for its gradient again"
    )


def changed(node):
    return RuntimeError(
        f"a parameter was changed after {node.name!r} had used it (by an optimizer's step or "
        "assign), so this gradient would be wrong: run the forward pass again first"
    )
