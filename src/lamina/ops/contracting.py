"""Sums of products of arrays, by the names of their axes."""

import itertools
import math
from collections import Counter

from lamina import backend
from lamina.autograd import Tensor, differentiable
from lamina.autograd._functions import refuse_libraries


def einsum(subscripts, *operands):
    """Sums of products over named axes, in Einstein's notation.

        einsum("ij,jk->ik", x, y)        out[i, k] = sum_j x[i, j] y[j, k]
        einsum("ii->i", x)               out[i] = x[i, i]
        einsum("bi,ij,bj->b", x, w, y)   out[b] = sum_ij x[b, i] w[i, j] y[b, j]
        einsum("...i,i->...", x, y)      out[..] = sum_i x[.., i] y[i]

    Args:
        subscripts: for every operand one letter for each of its axes, after "->" those of the
            result. An axis that the result does not name is summed; a letter that an operand has
            twice is its diagonal. "..." stands for any number of axes, which broadcast. Without
            "->" the result has the axes of "...", then the letters that occur once, in alphabetical
            order.
        operands: arrays or tensors of numbers, any number of them. Two at a time are multiplied,
            those first whose product is smallest beside themselves, and of these the cheapest.

    Returns:
        an array of the operands' common dtype.

    Raises:
        ValueError: for subscripts that cannot be read or do not fit the operands' shapes, and for
            operands of several array libraries.
        TypeError: for operands that are no arrays, or booleans.
    """
    if not isinstance(subscripts, str):
        raise TypeError(
            'einsum needs its subscripts as a string before the arrays, as in einsum("ij,jk->ik", '
            f"x, y), got {type(subscripts).__name__}"
        )
    xp = _namespace(operands)
    labels, output = _parsed(subscripts, [x.ndim for x in operands])
    lengths = _lengths(subscripts, labels, operands)
    parts = [_own_axes(xp, *pair, lengths) for pair in zip(operands, labels, strict=True)]
    parts = [_summed(xp, *part, _needed(parts, output, i)) for i, part in enumerate(parts)]
    while len(parts) > 1:
        i, j = _next_pair(parts, output, lengths)
        needed = _needed(parts, output, i, j)
        parts[i] = _product(xp, *parts[i], *parts.pop(j), needed)
    out, axes = parts[0]
    return _permuted(xp, out, [axes.index(label) for label in output])


def _namespace(operands):
    raws = [x.data if isinstance(x, Tensor) else x for x in operands]
    for raw in raws:
        if not backend.is_array(raw):
            raise TypeError(f"einsum needs arrays or tensors, got {type(raw).__name__}")
        if backend.namespace(raw).isdtype(raw.dtype, "bool"):
            raise TypeError("einsum needs numbers, got booleans: convert with lamina.xp.astype")
    if not operands:
        raise TypeError('einsum needs an array after its subscripts: einsum("ii->", x)')
    space = backend.namespace(raws[0])
    refuse_libraries("einsum", space, raws)
    return differentiable(space) if any(isinstance(x, Tensor) for x in operands) else space


# ---- reading the subscripts -------------------------------------------------------------------


def _parsed(subscripts, ndims):
    """The labels of every operand's axes and of the result's; of "..." 0, 1, ... from the last."""
    inputs, arrow, output = "".join(subscripts.split()).partition("->")
    terms = inputs.split(",")
    for term in (*terms, output):
        letters = term.replace("...", "", 1)
        if letters and not (letters.isascii() and letters.isalpha()):
            raise ValueError(
                'einsum needs subscripts of letters, "...", "," and "->", as in "ij,jk->ik", got '
                f"{subscripts!r}"
            )
    if len(terms) != len(ndims):
        raise ValueError(
            f"einsum needs an array for each term, got {len(terms)} in {subscripts!r} and "
            f"{len(ndims)} arrays"
        )
    spread = [ndim - len(term.replace("...", "")) for term, ndim in zip(terms, ndims, strict=True)]
    for term, extra, ndim in zip(terms, spread, ndims, strict=True):
        if extra < 0 or (extra and "..." not in term):
            raise ValueError(
                f"einsum needs a letter for each axis, got {term!r} in {subscripts!r} for an array "
                f'with {ndim}: "..." stands for axes that are not named'
            )
    labels = [_labels(term, extra) for term, extra in zip(terms, spread, strict=True)]
    if arrow:
        return labels, _explicit(subscripts, output, labels, max(spread))
    counts = Counter(letter for term in terms for letter in term if letter != ".")
    once = sorted(letter for letter, count in counts.items() if count == 1)
    return labels, _labels("...", max(spread)) + once


def _labels(term, extra):
    before, _, after = term.partition("...")
    return [*before, *reversed(range(extra if "..." in term else 0)), *after]


def _explicit(subscripts, output, labels, extra):
    if extra and "..." not in output:
        raise ValueError(
            f'einsum needs "..." in the result where the arrays have it, got {subscripts!r}: name '
            "axes that shall be summed"
        )
    found = _labels(output, extra)
    known = set(itertools.chain(*labels))
    for label, count in Counter(found).items():
        if count > 1 or label not in known:
            raise ValueError(
                f"einsum needs each letter of the result once and among the arrays', got {label!r} "
                f"in {subscripts!r}"
            )
    return found


def _lengths(subscripts, labels, operands):
    """The length of the axes of each label; those of "..." broadcast, others must be alike."""
    found = {}
    for names, x in zip(labels, operands, strict=True):
        for label, n in zip(names, x.shape, strict=True):
            before = found.setdefault(label, n)
            if before == n or (isinstance(label, int) and n == 1):
                continue
            if not (isinstance(label, int) and before == 1):
                axis = f"axis {label!r}" if isinstance(label, str) else 'the axes of "..."'
                shapes = " and ".join(str(tuple(x.shape)) for x in operands)
                raise ValueError(
                    f"einsum needs one length for {axis} of {subscripts!r}, got {before} and {n} "
                    f"in arrays of shape {shapes}"
                )
            found[label] = n
    return found


# ---- computing --------------------------------------------------------------------------------


def _needed(parts, output, *but):
    """The labels that the result or a part, other than those at ``but``, has."""
    others = [axes for i, (_, axes) in enumerate(parts) if i not in but]
    return set(output).union(*others)


def _next_pair(parts, output, lengths):
    """The places of the two parts to multiply next."""
    if len(parts) == 2:
        return 0, 1

    def size(labels):
        return math.prod(lengths[label] for label in labels)

    def price(pair):
        """How much memory the product takes beyond what it frees, then how many products it is."""
        a, b = (parts[i][1] for i in pair)
        both = {*a, *b}
        return size(both & _needed(parts, output, *pair)) - size(a) - size(b), size(both)

    return min(itertools.combinations(range(len(parts)), 2), key=price)


def _own_axes(xp, x, labels, lengths):
    """An operand with each of its labels once, and without those along which it is broadcast."""
    wide = [label for label, n in zip(labels, x.shape, strict=True) if n == lengths[label]]
    if len(wide) < len(labels):
        x, labels = xp.reshape(x, tuple(lengths[label] for label in wide)), wide
    while len(set(labels)) < len(labels):
        label = next(label for label in labels if labels.count(label) > 1)
        i = labels.index(label)
        j = labels.index(label, i + 1)
        rest = [k for k in range(len(labels)) if k not in (i, j)]
        n = lengths[label]
        x = _permuted(xp, x, [*rest, i, j])
        x = xp.reshape(x, (*x.shape[:-2], n * n))[..., :: n + 1]  # the diagonal
        labels = [*(labels[k] for k in rest), label]
    return x, labels


def _summed(xp, x, labels, needed):
    """The sum over the labels that nothing needs."""
    axes = tuple(i for i, label in enumerate(labels) if label not in needed)
    if axes:
        kept = x.dtype if xp.isdtype(x.dtype, "integral") else None  # sums would widen it
        x = xp.sum(x, axis=axes, dtype=kept)
    return x, [label for label in labels if label in needed]


def _product(xp, x, x_labels, y, y_labels, needed):
    """The product of two parts, summed over the labels of both that nothing else needs."""
    both = [label for label in x_labels if label in y_labels]
    along = [label for label in both if label in needed]
    summed = [label for label in both if label not in needed]
    left = [label for label in x_labels if label not in y_labels]
    right = [label for label in y_labels if label not in x_labels]
    x = _permuted(xp, x, [x_labels.index(label) for label in along + left + summed])
    y = _permuted(xp, y, [y_labels.index(label) for label in along + summed + right])
    b, s = len(along), len(summed)
    shape = x.shape[: b + len(left)] + y.shape[b + s :]
    if summed:
        n = math.prod(y.shape[b : b + s])
        x = _reshaped(xp, x, (*shape[:b], math.prod(x.shape[b : b + len(left)]), n))
        y = _reshaped(xp, y, (*shape[:b], n, math.prod(y.shape[b + s :])))
        out = xp.matmul(x, y)
    else:
        x = _reshaped(xp, x, (*x.shape, *(1 for _ in right)))
        out = x * _reshaped(xp, y, (*shape[:b], *(1 for _ in left), *y.shape[b:]))
    return _reshaped(xp, out, shape), along + left + right


def _permuted(xp, x, axes):
    return x if axes == list(range(x.ndim)) else xp.permute_dims(x, tuple(axes))


def _reshaped(xp, x, shape):
    return x if tuple(x.shape) == tuple(shape) else xp.reshape(x, tuple(shape))
