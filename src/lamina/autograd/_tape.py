"""The tape: what was computed from what, and the sweep back over it.

A recorded result knows its *vertex*: a ``Node`` with edges to the vertices of the arguments, or,
for a tensor that the user made, the tensor itself (a leaf). Nodes are numbered as they are made, so
descending numbers are a valid order for the sweep; nothing here recurses.
The engine knows no function by name, and the rules know nothing of the engine.
"""

import functools
import itertools
import threading

from lamina import backend
from lamina.autograd import _debug
from lamina.autograd._tensor import Tensor
from lamina.backend import scatter
from lamina.backend.cofactors import cofactors

clock = itertools.count()
"""Numbers everything that happens: nodes when made, parameters when changed in place."""


class _Mode(threading.local):
    enabled = True


mode = _Mode()


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

    Subclasses say how a gradient passes through: ``pull(g)`` on raw arrays, once, after which
    ``release`` drops what was kept; ``pull_tensors(g)`` on tensors, recorded again.
    """

    __slots__ = ("edges", "index", "layer", "name")
    changed_at = -1  # as tensors have it: what a node computed never changes

    def __init__(self, name, edges):
        self.index = next(clock)
        self.name = name
        self.edges = edges
        if _debug.enabled:
            self.layer = _debug.current_layer()


class RuleNode(Node):
    """A function of the standard. Edges: (vertex, rule, names of what it uses, shape, dtype).

    Of a function with several results ``g`` is the list of their gradients, None where none came.
    """

    __slots__ = ("kept", "xp")

    def __init__(self, name, edges, kept, xp):
        super().__init__(name, edges)
        self.kept = kept  # by name: (value, vertex or None)
        self.xp = xp

    def pull(self, g):
        kept = self.kept
        if kept is None:
            raise _released(self)
        xp = plain(self.xp)
        for vertex, rule, names, shape, dtype in self.edges:
            gradient = rule(xp, g, *[kept[name][0] for name in names])
            yield vertex, _fit(xp, gradient, shape, dtype)

    def pull_tensors(self, g):
        if self.kept is None:
            raise _released(self)
        from lamina.autograd._namespace import differentiable

        xp = differentiable(self.xp)
        kept = {name: _revive(value, vertex, self) for name, (value, vertex) in self.kept.items()}
        for vertex, rule, names, shape, dtype in self.edges:
            yield vertex, _fit(xp, rule(xp, g, *[kept[name] for name in names]), shape, dtype)

    def release(self):
        self.kept = None


class KernelNode(Node):
    """An op computed by a kernel. Edges: (vertex, position of the argument)."""

    __slots__ = ("inputs", "options", "pullback", "replay", "xp")

    def __init__(self, name, edges, pullback, replay, inputs, options, xp):
        super().__init__(name, edges)
        self.pullback = pullback
        self.replay = replay  # the op's definition, for derivatives of derivatives
        self.inputs = inputs  # (value, vertex or None) of every argument
        self.options = options
        self.xp = xp

    def pull(self, g):
        if self.pullback is None:
            raise _released(self)
        gradients = self.pullback(g)
        for vertex, position in self.edges:
            yield vertex, gradients[position]

    def pull_tensors(self, g):
        if self.pullback is None:
            raise _released(self)
        from lamina.autograd._namespace import differentiable

        positions = [position for _, position in self.edges]
        arguments = [as_tensor(_revive(value, vertex, self)) for value, vertex in self.inputs]
        for position in positions:
            arguments[position] = alias(arguments[position])
        out = self.replay(differentiable(self.xp), *arguments, **self.options)
        roots = list(zip(out, g, strict=True)) if isinstance(out, tuple) else [(out, g)]
        wanted = [vertex_of(arguments[position]) for position in positions]
        found = sweep(roots, wanted, create_graph=True)
        for (vertex, _), own in zip(self.edges, wanted, strict=True):
            if own in found:
                yield vertex, found[own]

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


def alias(tensor):
    """A tensor of the same value with a vertex of its own."""
    if not tensor.requires_grad:
        return Tensor(tensor.data, requires_grad=True)
    return Tensor._of(tensor.data, Alias("alias", ((vertex_of(tensor),),)))


def sweep(roots, wanted=None, create_graph=False) -> dict:
    """Gradients of sum(root * seed) at leaves, or at the vertices in ``wanted``.

    Args:
        roots: pairs (tensor, seed of its shape); raw seeds, or tensors with ``create_graph``.
        wanted: vertices at which to stop and collect; None collects at all leaves.
        create_graph: run the rules on tensors, so that the gradients can be differentiated, and
            keep the tape. Otherwise everything passed is released.

    Returns:
        a dict from vertex to gradient; what is not connected is missing.
    """
    gradients, owned = {}, set()
    for root, seed in roots:
        if root.requires_grad:
            _add(gradients, owned, vertex_of(root), seed)
    stops = () if wanted is None else set(wanted)
    order = _nodes(gradients, stops)
    if wanted is not None:
        order = _leading_to(order, stops)
    try:
        while order:
            node = order.pop()
            g = gradients.pop(node, None)
            if g is None:
                continue
            if type(node) is Output:
                parent = node.edges[0][0]
                parts = gradients.setdefault(parent, [None] * node.count)
                before = parts[node.position]  # of a result that its own rules used as well
                parts[node.position] = g if before is None else before + g
                continue
            for vertex, gradient in node.pull_tensors(g) if create_graph else node.pull(g):
                if gradient is None:
                    continue
                if _debug.enabled:
                    _debug.check_gradient(node, gradient)
                if vertex.changed_at > node.index:
                    raise _changed(node)
                _add(gradients, owned, vertex, gradient)
            if not create_graph:
                node.release()
    except MemoryError as error:
        error.lamina_node = node  # for those who know which layer that is
        raise
    return gradients


def _add(gradients, owned, vertex, gradient) -> None:
    """Accumulate: the first by reference, the second into a new array, later ones in place."""
    before = gradients.get(vertex)
    if before is None:
        gradients[vertex] = gradient
    elif vertex in owned and not isinstance(gradient, Tensor):
        before += gradient
    else:
        gradients[vertex] = before + gradient
        if not isinstance(gradients[vertex], Tensor) and gradients[vertex].ndim:
            owned.add(vertex)


def _nodes(start, stops) -> list:
    """All nodes behind ``start``, up to ``stops``, in ascending order."""
    seen, stack = set(), list(start)
    while stack:
        vertex = stack.pop()
        if vertex in seen or vertex in stops or not isinstance(vertex, Node):
            continue
        seen.add(vertex)
        for edge in vertex.edges:
            stack.append(edge[0])
    return sorted(seen, key=_by_index)


def _leading_to(order, stops) -> list:
    """Those of ``order`` from which ``stops`` can be reached."""
    reach = set(stops)
    for node in order:
        if any(edge[0] in reach for edge in node.edges):
            reach.add(node)
    return [node for node in order if node in reach]


def leaves(roots, stops) -> list:
    """The leaves behind the tensors ``roots`` that are not behind ``stops``."""
    start = [vertex_of(root) for root in roots if root.requires_grad]
    nodes = _nodes(start, stops)
    ends = [edge[0] for node in nodes for edge in node.edges] + start
    return [end for end in ends if not isinstance(end, Node) and end not in stops]


def _by_index(node):
    return node.index


def as_tensor(value):
    """An array as a constant tensor: some libraries refuse a tensor right of an operator."""
    if isinstance(value, Tensor) or not backend.is_array(value):
        return value
    return Tensor._of(value)


def _revive(value, vertex, node):
    """A kept value as it stood on the tape."""
    if vertex is None:
        return value
    if vertex is OWN:
        vertex = node
    elif type(vertex) is Part:
        vertex = Output(node, vertex.position, vertex.count)
    elif vertex.changed_at > node.index:
        raise _changed(node)
    return Tensor._of(value, vertex)


def _fit(xp, g, shape, dtype):
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


def _released(node):
    return RuntimeError(
        f"the tape behind {node.name!r} was swept before and its values are released: "
        "compute the result again before asking for its gradient again"
    )


def _changed(node):
    return RuntimeError(
        f"a parameter was changed after {node.name!r} had used it (by an optimizer's step or "
        "assign), so this gradient would be wrong: run the forward pass again first"
    )
