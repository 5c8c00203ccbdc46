"""Derivatives of functions by going forward: ``jvp`` and ``linearize``.

A rule r(g) gives the gradient of an argument from that of the result, and is linear in g. What it
does to a change of the argument on the way forward is its transpose, so forward mode needs no
rules of its own: the function is recorded once, and the tape is swept from its arguments on. The
transpose of a rule is the rule itself where a function acts on each number alone (every number is
then multiplied by some slope), is written down in ``_DIRECT`` for a few functions more, and else is
had by recording the rule on a stand-in for g and going back through that.
"""

import functools
import math

from lamina import backend
from lamina.autograd import _debug
from lamina.autograd._functional import Run, fitting, in_kind, is_tracked, zeros
from lamina.autograd._namespace import differentiable
from lamina.autograd._rules import RULES
from lamina.autograd._sweep import leading_to, likes_of, nodes_behind, sweep
from lamina.autograd._tape import (
    Alias,
    KernelNode,
    Output,
    RuleNode,
    Variable,
    alias,
    as_tensor,
    changed,
    fit,
    mode,
    plain,
    recording,
    revive,
    vertex_of,
)
from lamina.autograd._tensor import Tensor


def jvp(f, primals, tangents, has_aux: bool = False):
    """The result of ``f`` at ``primals`` and its change along ``tangents``, going forward.

        out + J v e + O(e^2) = f(*(primals + v e))        J v: Jacobian-vector product

    The function is recorded first and then swept from its arguments on, freeing as it goes: memory
    is that of a tape, time about that of a gradient, whatever the number of results.

    Args:
        f: a function that returns an array or any nest of arrays.
        primals: a tuple of its arguments, arrays or nests of arrays.
        tangents: a tuple of nests like these: the direction.
        has_aux: f returns a pair (result, aux).

    Returns:
        (result, its tangents), nests alike; or (result, its tangents, aux).

    Raises:
        TypeError: where an argument is not floating point, f returns no array, or ``tangents``
            has another structure than ``primals``.
        ValueError: where a tangent has another shape than its primal.

    Example:
        >>> lamina.jvp(xp.sin, (0.0,), (2.0,))
        (np.float32(0.0), np.float32(2.0))
    """
    primals, tangents = _tuple(primals, "primals"), _tuple(tangents, "tangents")
    run = Run(f, primals, range(len(primals)), None, has_aux, "jvp")
    out = run.outputs.fill(ahead(run, directions(run, tangents)))
    return (run.value(), out, run.aux) if has_aux else (run.value(), out)


def linearize(f, *primals, has_aux: bool = False):
    """The result of ``f`` at ``primals``, and the function from tangents to the result's tangents.

    ``push(*tangents)`` is :func:`jvp` at these primals without running f again, as often as one
    likes; the tape lives as long as it does.

    Returns:
        (result, push), or (result, push, aux).

    Example:
        >>> y, push = lamina.linearize(xp.sin, 0.0)
        >>> push(2.0)
        np.float32(2.0)
    """
    run = Run(f, primals, range(len(primals)), None, has_aux, "linearize")

    def push(*tangents):
        return run.outputs.fill(ahead(run, directions(run, tangents), retain_graph=True))

    return (run.value(), push, run.aux) if has_aux else (run.value(), push)


def _tuple(values, name: str) -> tuple:
    if not isinstance(values, tuple | list):
        raise TypeError(
            f"{name} must be a tuple with one entry for each argument, got "
            f"{type(values).__name__}: for a function of one argument write (x,)"
        )
    return tuple(values)


def directions(run, tangents: tuple) -> list:
    """Tangents, a nest like the arguments of a run, as a list, once they are known to fit."""
    found = run.inputs.match(tangents, "tangents")
    paths = run.inputs.paths("tangents")
    return [
        fitting(value, like, path, "primal")
        for value, like, path in zip(found, run.own, paths, strict=True)
    ]


def ahead(run, tangents, retain_graph=False) -> list:
    """Tangents of the leaves of the result; a tangent of None is 0."""
    further = mode.enabled and (run.outside or any(map(is_tracked, tangents)))
    start = {
        vertex: in_kind(tangent, further)
        for vertex, tangent in zip(run.wanted, tangents, strict=True)
        if tangent is not None
    }
    found = advance(start, run.outs, further, retain_graph)
    return [
        zeros(out if hasattr(out, "dtype") else backend.get().asarray(out)) if t is None else t
        for out, t in zip(run.outs, found, strict=True)
    ]


# ---- the sweep --------------------------------------------------------------------------------


def advance(tangents, roots, create_graph=False, retain_graph=False) -> list:
    """Tangents of ``roots``, by those at the vertices where the tape begins.

    Args:
        tangents: a dict from vertex to tangent; raw, or tensors with ``create_graph``.
        roots: tensors; anything else has no tangent.
        create_graph: run the rules on tensors, so that results can be differentiated, and keep the
            tape.
        retain_graph: keep the tape. Otherwise everything passed is released.

    Returns:
        a list: a tangent for each root, None where it is 0.
    """
    roots = [root if is_tracked(root) else None for root in roots]
    tracked = [root for root in roots if root is not None]
    stops = set(tangents)
    order = leading_to(stops, nodes_behind(map(vertex_of, tracked), stops))
    likes = likes_of(order, tracked)
    uses = {vertex_of(root): 1 for root in tracked}
    for node in order:
        for edge in node.edges:
            uses[edge[0]] = uses.get(edge[0], 0) + 1
    found = dict(tangents)
    order.reverse()
    while order:
        node = order.pop()
        for edge in node.edges:
            if edge[0].changed_at > node.index:
                raise changed(node)
        if _debug.enabled:
            with _debug.passing(node):
                out = _PUSH[type(node)](node, found, likes, create_graph)
            for part in out if isinstance(out, list) else [out]:
                _debug.check_passed(node, part, "tangent")
        else:
            out = _PUSH[type(node)](node, found, likes, create_graph)
        found[node] = out
        for edge in node.edges:
            uses[edge[0]] -= 1
            if not uses[edge[0]]:
                found.pop(edge[0], None)
        if not (create_graph or retain_graph) and type(node) is not Output:
            node.release()
    return [None if root is None else found.get(vertex_of(root)) for root in roots]


def _push_output(node, tangents, likes, create_graph):
    return tangents[node.edges[0][0]][node.position]


def _push_alias(node, tangents, likes, create_graph):
    return tangents.get(node.edges[0][0])


def _push_rule(node, tangents, likes, create_graph):
    if node.kept is None:
        node.refill()
    moved = [edge for edge in node.edges if tangents.get(edge[0]) is not None]
    if not moved:
        return None
    like = likes.get(node)
    if like is None or not all(_is_direct(node.xp, edge, like[1]) for edge in moved):
        return _transposed_rule(node, moved, tangents, likes, create_graph)
    shape, dtype = like
    kept, total = node.kept, None
    if create_graph:
        xp = differentiable(node.xp)
        kept = {name: (revive(*pair, node), None) for name, pair in kept.items()}
    else:
        xp = plain(node.xp)
    for vertex, rule, names, _, _ in moved:
        tangent, values = tangents[vertex], [kept[name][0] for name in names]
        if rule in _elementwise():
            if tangent.dtype != dtype:
                tangent = xp.astype(tangent, dtype)
            if tangent.shape != shape:
                tangent = xp.broadcast_to(tangent, shape)
            part = rule(xp, tangent, *values)
        else:
            part = _direct()[rule](xp, tangent, shape, *values)
        part = part if part.shape == shape else xp.broadcast_to(part, shape)
        part = part if part.dtype == dtype else xp.astype(part, dtype)
        total = part if total is None else total + part
    return total


def _transposed_rule(node, moved, tangents, likes, create_graph):
    """Tangents of a node's result, or a list of them, by transposing its rules."""
    xp = differentiable(node.xp)
    kept = {name: _argument(*pair, node, create_graph) for name, pair in node.kept.items()}

    def rules(g):
        for _, rule, names, shape, dtype in moved:
            yield fit(xp, rule(xp, g, *[kept[name] for name in names]), shape, dtype)

    directions = [tangents[edge[0]] for edge in moved]
    return transposed(rules, node, directions, likes, create_graph)


def _push_kernel(node, tangents, likes, create_graph):
    if node.inputs is None:
        node.refill()
    arguments = [_argument(*pair, node, create_graph) for pair in node.inputs]
    start = {}
    with recording():
        for vertex, position in node.edges:
            tangent = tangents.get(vertex)
            if tangent is not None:
                arguments[position] = alias(as_tensor(arguments[position]))
                start[vertex_of(arguments[position])] = tangent
        out = node.replay(differentiable(node.xp), *arguments, **node.options)
        if isinstance(out, tuple):
            return advance(start, out, create_graph)
        return advance(start, [out], create_graph)[0]


def transposed(rules, node, directions, likes, create_graph):
    """The transpose of a linear function, applied to ``directions``.

    ``rules`` takes the gradient of the node's result (of several a list, in which those that
    nothing depends on are None) and gives an iterable of gradients, one for each direction.
    """
    outputs = [v for v in likes if type(v) is Output and v.edges[0][0] is node]
    some = directions[0]
    with recording():
        if outputs:
            parts = [None] * outputs[0].count
            for output in outputs:
                parts[output.position] = uneven(some, *likes[output], output.position)
            stand_ins, g = [part for part in parts if part is not None], parts
        else:
            g = uneven(some, *likes[node])
            stand_ins = [g]
        roots = [
            (gradient, direction)
            for gradient, direction in zip(rules(g), directions, strict=True)
            if is_tracked(gradient)
        ]
        found = sweep(roots, list(map(vertex_of, stand_ins)), create_graph)
    if not outputs:
        return found.get(g)
    return [None if part is None else found.get(part) for part in parts]


def uneven(some, shape, dtype, which=0) -> Tensor:
    """A leaf of that shape and dtype where ``some`` is, of numbers with nothing in common.

    Where vectors are no functions of x, rules multiply by nan what is not 0 in their products with
    the gradient. So none of these numbers is 0, nor a sum or difference of them, as those of ones
    are; nor are they alike for each ``which`` of several results.
    """
    place = backend.of(some.data if isinstance(some, Tensor) else some)
    xp = place.xp
    with place.scope():
        numbers = xp.arange(1, math.prod(shape) + 1, dtype=xp.float64, device=place.device)
        numbers = xp.cos(numbers + 0.25 * which)
        return Variable(xp.reshape(xp.astype(numbers, dtype), tuple(shape)))


def _argument(value, vertex, node, create_graph):
    """A kept value as a tensor: on its tape if that is to be differentiated, else constant."""
    return as_tensor(revive(value, vertex if create_graph else None, node))


_PUSH = {
    Alias: _push_alias,
    KernelNode: _push_kernel,
    Output: _push_output,
    RuleNode: _push_rule,
}


def pushes(kind_of_node, push) -> None:
    """Have ``push`` bring tangents through nodes of a kind."""
    _PUSH[kind_of_node] = push


# ---- rules whose transpose is known -----------------------------------------------------------

_ELEMENTWISE = """abs acos acosh asin asinh astype atan atan2 atanh clip cos cosh divide exp expm1
hypot log log10 log1p log2 logaddexp maximum minimum multiply negative positive pow reciprocal
remainder sin sinh sqrt square subtract add tan tanh where""".split()

# The function itself where it is linear, by its argument: xp, the tangent, the result's shape, and
# what the rule of that argument keeps.
_DIRECT = {
    "matmul": {
        "x1": lambda xp, t, shape, x2, x1_shape: xp.matmul(t, x2),
        "x2": lambda xp, t, shape, x1, x2_shape: xp.matmul(x1, t),
    },
    "sum": {
        "x": lambda xp, t, shape, x_shape, axis: xp.reshape(xp.sum(t, axis=axis), shape),
    },
    "mean": {
        "x": lambda xp, t, shape, x_shape, axis: xp.reshape(xp.mean(t, axis=axis), shape),
    },
    "reshape": {"x": lambda xp, t, shape, x_shape: xp.reshape(t, shape)},
    "broadcast_to": {"x": lambda xp, t, shape: xp.broadcast_to(t, shape)},
    "expand_dims": {"x": lambda xp, t, shape, x_shape: xp.reshape(t, shape)},
    "squeeze": {"x": lambda xp, t, shape, x_shape: xp.reshape(t, shape)},
    "matrix_transpose": {"x": lambda xp, t, shape: xp.matrix_transpose(t)},
    "permute_dims": {"x": lambda xp, t, shape, axes: xp.permute_dims(t, axes)},
    "getitem": {"x": lambda xp, t, shape, x_shape, key: t[key]},
    "setitem_zeros": {"x": lambda xp, t, shape, key: xp.setitem_zeros(t, key, shape)},
}


@functools.cache
def _elementwise() -> frozenset:
    """The rules, as functions, of functions that act on each number alone."""
    return frozenset(rule for name in _ELEMENTWISE for rule in RULES[name].values())


@functools.cache
def _direct() -> dict:
    return {RULES[f][x]: push for f, rows in _DIRECT.items() for x, push in rows.items()}


def _is_direct(xp, edge, dtype) -> bool:
    """Whether a rule needs no transposing; a complex slope would have to be conjugated."""
    known = edge[1] in _elementwise() or edge[1] in _direct()
    return known and _are_real(xp, dtype, edge[4])


@functools.cache
def _are_real(xp, *dtypes) -> bool:
    return not any(xp.isdtype(dtype, "complex floating") for dtype in dtypes)
