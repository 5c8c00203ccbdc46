"""Resizing in array-API code: there by the table, back by its transpose, without a scatter."""

from lamina.ops._op import kernel
from lamina.ops._resampling import resampled, stretched, transposed
from lamina.ops.resizing import resizes


@kernel("resize")
def resize(xp, needs, x, *, size, interpolation, antialias, data_format):
    """Axis by axis."""
    changes = resizes(x.shape, size, None, interpolation, data_format)
    return by_tables(
        xp, x, [(a, stretched, (n, m, interpolation, antialias)) for a, n, m in changes]
    )


@kernel("up_sample")
def up_sample(xp, needs, x, *, size, interpolation, data_format):
    """Axis by axis."""
    changes = resizes(x.shape, None, size, interpolation, data_format)
    return by_tables(xp, x, [(a, stretched, (n, m, interpolation, False)) for a, n, m in changes])


def by_tables(xp, x, changes):
    """``x`` resampled along some axes, and the way back.

    Args:
        changes: triples (axis, what makes the table, of which arguments).
    """
    for axis, make, arguments in changes:
        x = resampled(xp, x, axis, make(*arguments))

    def pullback(g):
        for axis, make, arguments in reversed(changes):
            g = resampled(xp, g, axis, transposed(make, *arguments))
        return (g,)

    return x, pullback
