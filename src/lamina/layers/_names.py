"""Names for layers that were given none."""

import threading

_counts: dict[str, int] = {}
_lock = threading.Lock()


def snake_case(name: str) -> str:
    """ "MaxPooling2D" as "max_pooling2d"."""
    out = []
    for i, letter in enumerate(name):
        after_lower = i and (name[i - 1].islower() or name[i - 1].isdigit())
        before_lower = i and i + 1 < len(name) and name[i + 1].islower() and name[i - 1] != "_"
        if letter.isupper() and (after_lower or before_lower):
            out.append("_")
        out.append(letter.lower())
    return "".join(out).strip("_")


def unique_name(class_name: str) -> str:
    """ "dense", then "dense_1", "dense_2", ... for layers that were given no name."""
    base = snake_case(class_name)
    with _lock:
        number = _counts.get(base, 0)
        _counts[base] = number + 1
    return f"{base}_{number}" if number else base
