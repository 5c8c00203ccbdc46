"""Resampling along one axis: every element of the result is a weighted sum of a few elements.

A table says which: for tap t, the numbers of the elements, ``index[t][i]``, and their weights,
``weight[t][i]`` (None where all are 1). Averaging parts, stretching, shrinking and the transpose of
each are all tables.
"""

import functools
import math


def resampled(xp, x, axis, table):
    """``out[i] = sum over t of weight[t][i] * x[index[t][i]]`` along ``axis``."""
    out = None
    for index, weight in table:
        part = xp.take(x, xp.asarray(index, device=x.device), axis=axis)
        if weight is not None:
            shape = (-1, *(1,) * (x.ndim - 1 - axis))
            weight = xp.asarray(weight, dtype=x.dtype, device=x.device)
            part = part * xp.reshape(weight, shape)
        out = part if out is None else out + part
    return out


def table_of(rows):
    """A table from the elements and weights of every element of the result.

    Args:
        rows: for every element of the result a list of pairs (number, weight).
    """
    taps = max(1, *map(len, rows)) if rows else 1
    table = []
    for t in range(taps):
        pairs = [row[t] if t < len(row) else (row[-1][0] if row else 0, 0.0) for row in rows]
        index, weight = ([pair[k] for pair in pairs] for k in (0, 1))
        table.append((index, None if all(w == 1.0 for w in weight) else weight))
    return table


@functools.lru_cache(maxsize=256)
def transposed(make, length, count, *how):
    """The table that takes gradients of the ``count`` results of ``make`` back to ``length``."""
    rows = [[] for _ in range(length)]
    for index, weight in make(length, count, *how):
        for i, number in enumerate(index):
            w = 1.0 if weight is None else weight[i]
            if w:
                rows[number].append((i, w))
    return table_of(rows)


def parts(length: int, count: int) -> list[tuple[int, int]]:
    """Where each of ``count`` parts of an axis begins and ends: as even as can be."""
    return [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


@functools.lru_cache(maxsize=256)
def averages(length: int, count: int):
    """The table of the means of ``parts``."""
    return table_of(
        [
            [(j, 1.0 / (end - start)) for j in range(start, end)]
            for start, end in parts(length, count)
        ]
    )


@functools.lru_cache(maxsize=256)
def stretched(length: int, count: int, interpolation: str, antialias: bool):
    """The table of an axis of ``length`` elements at ``count`` places, evenly spread over it.

    Place i lies at ``(i + 1/2) * length / count - 1/2``, elements being squares with their centres
    at whole numbers. Elements are weighted by their distance; what is outside does not count, and
    weights sum to 1. With ``antialias`` a shrunken image is smoothed first: distances count less.
    """
    step = length / count
    rows = []
    for i in range(count):
        place = (i + 0.5) * step - 0.5
        if interpolation == "nearest":
            rows.append([(min(math.floor((2 * i + 1) * length / (2 * count)), length - 1), 1.0)])
            continue
        radius, curve = CURVES[interpolation]
        scale = max(step, 1.0) if antialias else 1.0
        first = max(0, math.ceil(place - radius * scale))
        last = min(length - 1, math.floor(place + radius * scale))
        pairs = [(j, curve(abs(place - j) / scale)) for j in range(first, last + 1)]
        total = sum(w for _, w in pairs)
        rows.append([(j, w / total) for j, w in pairs if w])
    return table_of(rows)


def _triangle(d: float) -> float:
    return max(0.0, 1.0 - d)


def _cubic(d: float) -> float:
    """R. Keys, "Cubic convolution interpolation for digital image processing", 1981, eq. 15."""
    if d < 1.0:
        return (1.5 * d - 2.5) * d * d + 1.0
    return ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0 if d < 2.0 else 0.0


def _lanczos(radius: int):
    """C. Lanczos's windowed sinc."""

    def curve(d):
        if d >= radius:
            return 0.0
        a = math.pi * d
        return radius * math.sin(a) * math.sin(a / radius) / (a * a) if d > 1e-3 else 1.0

    return curve


CURVES = {
    "bilinear": (1, _triangle),
    "bicubic": (2, _cubic),
    "lanczos3": (3, _lanczos(3)),
    "lanczos5": (5, _lanczos(5)),
}
"""How much an element counts by its distance, and up to which."""

INTERPOLATIONS = ("nearest", *CURVES)
