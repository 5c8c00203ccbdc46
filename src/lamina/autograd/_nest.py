"""Nests: tuples, named tuples, lists, dicts and dataclasses of arrays, one within the other.

``flatten`` takes the arrays out of a nest, ``Structure.fill`` puts others in their places. Arrays,
tensors and Python numbers are leaves; everything else (None, strings, functions, and whole numbers
among the fields of a dataclass, which are settings there) is part of the structure.

A dataclass is rebuilt from its fields alone: neither ``__init__`` nor ``__post_init__`` runs again,
so frozen ones are nests too, and what they check of arrays is not asked of gradients.
"""

import copy
import dataclasses

from lamina import backend
from lamina.autograd._tensor import Tensor

_NUMBERS = (float, complex, int)
_SETTINGS = (bool, int, str, bytes, type, type(None), slice, type(...))
_LEAF = object()


def flatten(nest) -> tuple[list, "Structure"]:
    """The leaves of a nest in order, and its structure."""
    if isinstance(nest, Tensor):
        return [nest], _SINGLE
    leaves = []
    return leaves, Structure(_take(nest, leaves))


def leaves_of(nest) -> list:
    """The leaves of a nest, in order."""
    return flatten(nest)[0]


class Structure:
    """A nest without its leaves."""

    __slots__ = ("_empty",)

    def __init__(self, empty):
        self._empty = empty

    def paths(self, name: str) -> list[str]:
        """Where each leaf stands in the nest ``name``, as one would write it: "w['a'][0].bias"."""
        found = []
        _walk(self._empty, name, found)
        return found

    @property
    def is_leaf(self) -> bool:
        """Whether the nest is a single array."""
        return self._empty is _LEAF

    @property
    def is_plain(self) -> bool:
        """Whether what is no leaf are settings, and nothing that could hide an array."""
        return _is_plain(self._empty)

    def fill(self, leaves):
        """The nest with these leaves, given in order."""
        return leaves[0] if self._empty is _LEAF else _put(self._empty, iter(leaves))

    def match(self, nest, what: str) -> list:
        """What stands in ``nest`` where this structure has leaves, in this structure's order.

        Raises:
            TypeError: naming the place, where ``nest`` has another structure; ``what`` names it.
        """
        found = []
        _match(self._empty, nest, what, found)
        return found


_SINGLE = Structure(_LEAF)


def _fields(value) -> list[str]:
    return [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]


def _is_dataclass(value) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _is_leaf(value) -> bool:
    if isinstance(value, Tensor) or type(value) in _NUMBERS:
        return True
    return type(value) is not bool and backend.is_array(value)


def _take(value, leaves):
    """``value`` with its leaves replaced by marks, and these put into ``leaves``."""
    if _is_leaf(value):
        leaves.append(value)
        return _LEAF
    if isinstance(value, dict):
        return _dict(value, {k: _take(v, leaves) for k, v in value.items()})
    if isinstance(value, list | tuple):
        return _sequence(value, [_take(v, leaves) for v in value])
    if _is_dataclass(value):
        parts = {f: getattr(value, f) for f in _fields(value)}
        return _dataclass(
            value, {f: v if type(v) is int else _take(v, leaves) for f, v in parts.items()}
        )
    return value


def _walk(empty, path, found) -> None:
    if empty is _LEAF:
        found.append(path)
    for key, part in (_parts(empty) or {}).items():
        _walk(part, path + _step(empty, key), found)


def _is_plain(empty) -> bool:
    parts = _parts(empty)
    if parts is not None:
        return all(map(_is_plain, parts.values()))
    return empty is _LEAF or isinstance(empty, _SETTINGS)


def _put(empty, leaves):
    if empty is _LEAF:
        return next(leaves)
    if isinstance(empty, dict):
        return _dict(empty, {k: _put(v, leaves) for k, v in empty.items()})
    if isinstance(empty, list | tuple):
        return _sequence(empty, [_put(v, leaves) for v in empty])
    if _is_dataclass(empty):
        return _dataclass(empty, {f: _put(getattr(empty, f), leaves) for f in _fields(empty)})
    return empty


def _match(empty, value, path, found) -> None:
    if empty is _LEAF:
        found.append(value)
        return
    parts = _parts(empty)
    if parts is None:
        return
    others = _parts(value)
    if others is None or type(value) is not type(empty):
        raise TypeError(f"{path} must be a {_kind(empty)}, got {_kind(value)}")
    if parts.keys() != others.keys():
        raise TypeError(
            f"{path} must be a {_kind(empty)} with {_keys(parts)}, got one with {_keys(others)}"
        )
    for key, part in parts.items():
        _match(part, others[key], f"{path}{_step(empty, key)}", found)


def _parts(value) -> dict | None:
    """What a nest is made of, by key, index or field; None of what is no nest."""
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    if _is_dataclass(value) and not _is_leaf(value):
        return {field: getattr(value, field) for field in _fields(value)}
    return None


def _step(value, key) -> str:
    named = getattr(value, "_fields", None)
    if named is not None:
        return f".{named[key]}"
    return f"[{key!r}]" if isinstance(value, dict | list | tuple) else f".{key}"


def _keys(parts) -> str:
    if all(isinstance(key, int) for key in parts):
        return f"{len(parts)} parts"
    return ", ".join(map(str, parts)) or "nothing"


def _kind(value) -> str:
    if isinstance(value, Tensor) or backend.is_array(value):
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    return type(value).__name__


def _dict(like, parts):
    if type(like) is dict:
        return parts
    made = copy.copy(like)  # a subclass may want more than its items to be made
    for key, part in parts.items():
        made[key] = part
    return made


def _sequence(like, parts):
    make = type(like)
    return make(*parts) if hasattr(make, "_fields") else make(parts)


def _dataclass(like, parts):
    made = object.__new__(type(like))
    for field, part in parts.items():
        object.__setattr__(made, field, part)
    return made
