"""Names for layers that were given none."""

import threading

from lamina.registry import snake_case

_counts: dict[str, int] = {}
_lock = threading.Lock()


def unique_name(class_name: str) -> str:
    """ "dense", then "dense_1", "dense_2", ... for layers that were given no name."""
    base = snake_case(class_name)
    with _lock:
        number = _counts.get(base, 0)
        _counts[base] = number + 1
    return f"{base}_{number}" if number else base
