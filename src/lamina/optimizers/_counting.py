"""Numbers that a rule makes of the step's number, wherever that number is.

Where steps may be skipped on a device, only the device knows how many were done, and asking would
make the host wait. So ``step`` is then an array without axes, and these functions take either.
"""

import math


def is_counted(step) -> bool:
    """Whether a step's number is a plain one, known to the host."""
    return isinstance(step, int)


def lack(xp, beta: float, step):
    """``1 - beta**step``: by how much a mean that began at 0 falls short after so many steps."""
    if is_counted(step):
        return 1 - beta**step
    return xp.ones_like(step) if beta == 0 else -xp.expm1(step * math.log(beta))


def root(xp, x):
    """The square root of a number or an array."""
    return math.sqrt(x) if isinstance(x, float | int) else xp.sqrt(x)


def either(xp, condition, yes, no):
    """``yes`` or ``no``, by a condition on the step's number."""
    if isinstance(condition, bool):
        return yes if condition else no
    return xp.where(condition, yes, no)


def entry(xp, table, step):
    """``table[step]``, and beyond its end the last of a list of numbers."""
    last = len(table) - 1
    if is_counted(step):
        return table[min(step, last)]
    numbers = xp.asarray(table, dtype=step.dtype, device=step.device)
    place = xp.where(step < last, step, xp.full_like(step, last))
    return xp.reshape(xp.take(numbers, xp.astype(xp.reshape(place, (1,)), xp.int64), axis=0), ())
