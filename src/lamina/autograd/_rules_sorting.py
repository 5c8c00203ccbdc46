"""Rows of the table of rules for sorting and sets.

``_rules.py`` says what a row is.
"""

from lamina.autograd._rules import vjp

vjp(
    "sort",
    "x, /, *, axis=-1, descending=False, stable=True",
    x=lambda xp, g, x, axis, descending: _unsorted(xp, g, x, axis, descending),
)


def _unsorted(xp, g, x, axis, descending):
    """The gradient of a sort: each element takes that of the place it went to."""
    order = xp.argsort(x, axis=axis, descending=descending)
    return xp.take_along_axis(g, xp.argsort(order, axis=axis), axis=axis)
