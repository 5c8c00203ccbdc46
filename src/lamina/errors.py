"""How lamina words its errors: what must hold, what came, what to do; and where it warns.

Most errors are plain ``ValueError`` and ``TypeError`` with such a message, raised where the
condition is known. This file holds what several rooms share.
"""

import os
import sys
import warnings
from collections.abc import Iterable

_HOME = os.path.dirname(__file__) + os.sep


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like ``name``, or None when none comes close."""
    return next(iter(near(name, known, 1)), None)


def near(name: str, known: Iterable[str], count: int) -> list[str]:
    """The known names most like ``name``, the most alike first, at most ``count`` of them.

    One of the same letters is the nearest: two of them were swapped.
    """
    from difflib import get_close_matches

    by_folded = {k.lower().replace("_", ""): k for k in known}
    folded = name.lower().replace("_", "")
    close = get_close_matches(folded, by_folded, n=max(9, count), cutoff=0.6)
    close.sort(key=lambda one: sorted(one) != sorted(folded))
    return [by_folded[one] for one in close[:count]]


def unknown(kind: str, name: object, known: Iterable[str], short: Iterable[str] = ()) -> ValueError:
    """The error for a name that is not one of ``known``, with the nearest right name.

    ``short`` are further names, told where one is the nearest, but not listed.

    Example:
        >>> raise unknown("loss", "mean_square_error", ["mean_squared_error"])
        ValueError: unknown loss 'mean_square_error': did you mean 'mean_squared_error'?
    """
    names = sorted(known)
    close = nearest(name, [*names, *short]) if isinstance(name, str) else None
    advice = f"did you mean {close!r}?" if close else f"use one of {', '.join(names)}"
    return ValueError(f"unknown {kind} {name!r}: {advice}")


def missing(kind: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error for a name that a room of the library lacks, with the nearest or all it has.

    Example:
        >>> raise missing("layer", "dens", ["Activation", "Dense"])
        AttributeError: lamina has no layer 'dens': did you mean 'Dense'?
    """
    if name.startswith("_"):  # Python asking what kind of module this is, not a person
        return AttributeError(name)
    names = sorted(known)
    alike = [known for known in names if known[:1].isupper() == name[:1].isupper()]
    close = nearest(name, alike) or nearest(name, names)
    advice = f": did you mean {close!r}?" if close else f"; it has {', '.join(names)}"
    return AttributeError(f"lamina has no {kind} {name!r}{advice}")


def warn(text: str) -> None:
    """Warn at the line outside of the library that led here."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HOME):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: "1 layer", "2 layers", "1 axis"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
