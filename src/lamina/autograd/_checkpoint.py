"""checkpoint: compute again instead of keeping; and stop_gradient.

A function under checkpoint is recorded like any other, and then the values that its nodes keep are
dropped. When a sweep first comes to one of them, the function is run again, and every node takes
its values from its likeness on that second tape. The graph is therefore the same as without, node
by node, and so are all derivatives.
"""

import contextlib
import functools

from lamina.autograd import _nest
from lamina.autograd._sweep import nodes_behind
from lamina.autograd._tape import Alias, Output, changed, clock, recording, vertex_of
from lamina.autograd._tape import mode as tape_mode
from lamina.autograd._tensor import Tensor

SURROUNDINGS: list = []
"""Functions that give a block in which what surrounds the caller now, on its thread, is again."""


def checkpoint(f):
    """``f``, whose intermediate results are not kept for the gradient but computed again for it.

    Memory for time: of ``f`` only arguments and results stay, and a backward pass runs it once
    more. Gradients are the same to the bit, to any order, also with respect to tensors that ``f``
    closes over. Random numbers are the caller's concern: ``f`` must draw the same ones again.

    Args:
        f: a function of any nests of arrays, tensors and other things, whose result is a nest.

    Raises:
        RuntimeError: in the backward pass, where ``f`` computes something else than before.

    Example:
        >>> block = lamina.checkpoint(lambda x: xp.tanh(x @ w))
        >>> out = block(block(block(x)))
    """

    @functools.wraps(f)
    def wrapped(*args, **kwargs):
        if not tape_mode.enabled:
            return f(*args, **kwargs)
        since = next(clock)
        out = f(*args, **kwargs)
        nodes = _recorded(out, since)
        if nodes:
            segment = _Segment(f, args, kwargs, nodes)
            for place, node in enumerate(nodes):
                if not isinstance(node, _KEEPS_NOTHING):
                    node.source = (segment, place, _emptied(node))
        return out

    return wrapped


class _Segment:
    """What a function recorded, to be recorded again: it knows its nodes' names, not the nodes."""

    def __init__(self, f, args, kwargs, nodes):
        self.f = f
        self.name = getattr(f, "__name__", type(f).__name__)
        leaves, self.structure = _nest.flatten((args, kwargs))
        # as they are now, even if a parameter is changed since
        self.leaves = [(x.data, vertex_of(x)) if _is_tracked(x) else (x, None) for x in leaves]
        self.around = [restored() for restored in SURROUNDINGS]
        self.index = next(clock)
        self.names = [node.name for node in nodes]
        self.used = _used(nodes)
        self.nodes = None

    def node(self, place: int):
        """The node at that place on a tape recorded again, which gives its values away."""
        if self.nodes is None:
            self.nodes = self._record()
        node, self.nodes[place] = self.nodes[place], None
        if getattr(node, "source", None) is not None:  # under a checkpoint within this one
            node.refill()
        return node

    def _record(self) -> list:
        if any(vertex.changed_at > self.index for vertex in self.used):
            raise changed(self)
        given = [x if vertex is None else Tensor._of(x, vertex) for x, vertex in self.leaves]
        args, kwargs = self.structure.fill(given)
        since = next(clock)
        with recording(), contextlib.ExitStack() as around:
            for block in self.around:
                around.enter_context(block)
            nodes = _recorded(self.f(*args, **kwargs), since)
        if [node.name for node in nodes] != self.names or _used(nodes) != self.used:
            raise RuntimeError(
                f"{self.name!r} under lamina.checkpoint did not compute the same again: it must "
                "depend on its arguments and on tensors that stay what they are"
            )
        return nodes


_KEEPS_NOTHING = (Alias, Output)


def _recorded(result, since) -> list:
    """The nodes behind a nest of results that were made after ``since``, in order."""
    roots = [vertex_of(out) for out in _nest.leaves_of(result) if _is_tracked(out)]
    return nodes_behind(roots, (), since)


def _used(nodes) -> set:
    """The vertices that ``nodes`` lead to beyond themselves."""
    return {edge[0] for node in nodes for edge in node.edges}.difference(nodes)


def _emptied(node):
    """The vertices of the values that a node kept; these it keeps no more."""
    source = getattr(node, "source", None)
    return node.empty() if source is None else source[2]


def stop_gradient(x):
    """``x`` as a constant: the values of a nest of tensors, without their gradients.

    Example:
        >>> lamina.grad(lambda x: x * lamina.stop_gradient(x))(3.0)
        np.float32(3.0)
    """
    if isinstance(x, Tensor):
        return x.detach()
    leaves, structure = _nest.flatten(x)
    return structure.fill([v.detach() if isinstance(v, Tensor) else v for v in leaves])


def _is_tracked(value) -> bool:
    return isinstance(value, Tensor) and value.requires_grad
