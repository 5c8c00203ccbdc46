"""checkpoint: compute again instead of keeping; and stop_gradient."""

import functools

from lamina.autograd import _nest
from lamina.autograd._tape import (
    Node,
    Output,
    changed,
    clock,
    likes_of,
    mode,
    nodes_behind,
    recording,
    released,
    vertex_of,
)
from lamina.autograd._tensor import Tensor


class Checkpoint(Node):
    """A function whose tape is recorded anew when needed. Edges: (vertex, shape, dtype)."""

    __slots__ = ("compute", "tracked")
    splices = True

    def __init__(self, name, edges, compute, tracked):
        super().__init__(name, edges)
        self.compute = compute  # the function at its arguments; gives the list of its results
        self.tracked = tracked  # for every result, whether it requires a gradient

    def record(self) -> list:
        """The results that require a gradient, on a new tape that leads to ``edges``."""
        if self.compute is None:
            raise released(self)
        for vertex, *_ in self.edges:
            if vertex.changed_at > self.index:
                raise changed(self)
        since = next(clock)
        with recording():
            outs = self.compute()
        roots = [out for out in outs if _is_tracked(out)]
        used = _used(roots, since)
        same = used.keys() == {edge[0] for edge in self.edges}
        if not same or list(map(_is_tracked, outs)) != self.tracked:
            raise RuntimeError(
                f"{self.name!r} under lamina.checkpoint did not compute the same results again: it "
                "must depend on its arguments and on tensors that stay what they are"
            )
        return roots

    def record_again(self, parts) -> list:
        """Pairs (vertex of a result on a new tape, its gradient) to go on with."""
        outs = self.record()
        return [(vertex_of(out), g) for out, g in zip(outs, parts, strict=True) if g is not None]

    def likes(self):
        return self.edges

    def release(self):
        self.compute = None


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
        if not mode.enabled:
            return f(*args, **kwargs)
        since = next(clock)
        outs, structure = _nest.flatten(f(*args, **kwargs), "result")
        roots = [out for out in outs if _is_tracked(out)]
        if not roots:
            return structure.fill(outs)
        edges = [(vertex, *like) for vertex, like in _used(roots, since).items()]
        name = getattr(f, "__name__", type(f).__name__)
        tracked = list(map(_is_tracked, outs))
        node = Checkpoint(name, edges, _again(f, args, kwargs), tracked)
        made, count = [], 0
        for out in outs:
            if _is_tracked(out):
                out = Tensor._of(out.data, Output(node, count, len(roots)))
                count += 1
            made.append(out)
        return structure.fill(made)

    return wrapped


def _used(roots, since) -> dict:
    """What the tape behind ``roots``, recorded after ``since``, leads to: shape and dtype."""
    inner = nodes_behind(map(vertex_of, roots), (), since)
    own = set(inner)
    return {vertex: like for vertex, like in likes_of(inner, roots).items() if vertex not in own}


def _again(f, args, kwargs):
    """A function that calls ``f`` as it is called now, even if a parameter is changed since."""
    leaves, structure = _nest.flatten((args, kwargs))
    kept = [(x.data, vertex_of(x)) if _is_tracked(x) else (x, None) for x in leaves]

    def again():
        revived = [x if vertex is None else Tensor._of(x, vertex) for x, vertex in kept]
        args, kwargs = structure.fill(revived)
        return _nest.leaves_of(f(*args, **kwargs))

    return again


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
