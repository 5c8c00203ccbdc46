"""Functions of the standard that are compositions of others, and have their derivative from them.

On raw arrays they are the raw functions.
"""

from lamina import backend
from lamina.autograd._tape import mode
from lamina.autograd._tensor import Tensor
from lamina.autograd._unruled import (
    SPACES,
    has_tensor,
    has_tracked,
    namespace_among,
    raw,
    refuse_mixed_libraries,
    without_rule,
)


def _of(name):
    from lamina.autograd._namespace import function

    return function(name)


def broadcast_shapes(*shapes):
    """The standard's ``broadcast_shapes``: the shape that arrays of ``shapes`` broadcast to.

    Raises:
        ValueError: for shapes that do not broadcast.
    """
    out = []
    for back in range(1, max(map(len, shapes), default=0) + 1):
        lengths = {shape[-back] for shape in shapes if len(shape) >= back} - {1}
        if len(lengths) > 1:
            raise ValueError(
                "shapes broadcast where, counted from the last, all lengths of an axis are alike "
                f"or 1, got {' and '.join(str(tuple(shape)) for shape in shapes)}"
            )
        out.append(lengths.pop() if lengths else 1)
    return tuple(reversed(out))


def broadcast_arrays(*arrays):
    """The standard's ``broadcast_arrays``, with its derivative."""
    if not has_tensor(arrays):
        return tuple(namespace_among(arrays).broadcast_arrays(*arrays))
    refuse_mixed_libraries("broadcast_arrays", [raw(a) for a in arrays])
    shape = broadcast_shapes(*[a.shape for a in arrays])
    return tuple(_of("broadcast_to")(a, shape) for a in arrays)


def meshgrid(*arrays, indexing="xy"):
    """The standard's ``meshgrid``, with its derivative."""
    if not has_tensor(arrays):
        return tuple(namespace_among(arrays).meshgrid(*arrays, indexing=indexing))
    raws = [raw(a) for a in arrays]
    refuse_mixed_libraries("meshgrid", raws)
    out = namespace_among(raws).meshgrid(*raws, indexing=indexing)  # which checks the arguments
    places = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        places[:2] = 1, 0
    grids = []
    for array, grid, place in zip(arrays, out, places, strict=True):
        if not (isinstance(array, Tensor) and array.requires_grad):
            grids.append(Tensor._of(grid))
            continue
        column = _of("reshape")(array, tuple(-1 if i == place else 1 for i in range(len(arrays))))
        grids.append(_of("broadcast_to")(column, tuple(grid.shape)))
    return tuple(grids)


def unstack(x, /, *, axis=0):
    """The standard's ``unstack``, with its derivative: x cut into its slices along ``axis``."""
    space = SPACES.get(type(x))
    if space is not None:
        return tuple(space.unstack(x, axis=axis))
    if not isinstance(x, Tensor):
        return tuple(backend.namespace(x).unstack(x, axis=axis))
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"unstack needs one of the axes of x, which has {x.ndim}, got {axis}")
    lead = (slice(None),) * (axis % x.ndim)
    getitem = _of("getitem")
    return tuple(getitem(x, (*lead, i, ...)) for i in range(x.shape[axis]))


def diff(x, /, *, axis=-1, n=1, prepend=None, append=None):
    """The standard's ``diff``, with its derivative: differences of neighbours, ``n`` times."""
    given = [part for part in (prepend, x, append) if part is not None]
    if not has_tensor(given):
        options = {} if prepend is None else {"prepend": prepend}
        options |= {} if append is None else {"append": append}
        return namespace_among(given).diff(x, axis=axis, n=n, **options)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"diff needs one of the axes of x, which has {x.ndim}, got {axis}")
    x = _of("concat")(given, axis=axis) if len(given) > 1 else _of("asarray")(x)
    space = backend.namespace(raw(x))
    difference = _of("not_equal" if space.isdtype(x.dtype, "bool") else "subtract")
    lead = (slice(None),) * (axis % x.ndim)
    getitem = _of("getitem")
    for _ in range(n):
        length = x.shape[axis]
        after = getitem(x, (*lead, slice(min(1, length), None), ...))
        x = difference(after, getitem(x, (*lead, slice(0, max(length - 1, 0)), ...)))
    return x


def full_like(x, /, fill_value, *, dtype=None, device=None):
    """The standard's ``full_like``, which also takes a tensor of one number, with its derivative."""
    if not isinstance(fill_value, Tensor):
        array = raw(x)
        out = backend.namespace(array).full_like(array, fill_value, dtype=dtype, device=device)
        return Tensor._of(out) if isinstance(x, Tensor) else out
    return filled(x.shape, fill_value, x.dtype if dtype is None else dtype, device)


def filled(shape, fill_value, dtype, device):
    """An array of ``shape`` that is ``fill_value``, a tensor of one number, everywhere."""
    if fill_value.ndim:
        raise ValueError(
            f"fill_value= must be one number, got shape {tuple(fill_value.shape)}: "
            "use lamina.xp.broadcast_to for an array"
        )
    fill_value = fill_value if device is None else fill_value.to_device(device)
    fill_value = fill_value if dtype is None else _of("astype")(fill_value, dtype)
    return _of("broadcast_to")(fill_value, (shape,) if isinstance(shape, int) else tuple(shape))


def _unique(name):
    """A function of the set of values: these are elements of x, and have their derivative."""
    plain = without_rule(name)

    def made(x, /):
        if not (mode.enabled and has_tracked((x,))):
            return plain(x)
        found = backend.namespace(x.data).unique_all(x.data)
        values = _of("take")(_of("reshape")(x, (-1,)), found.indices)
        if name == "unique_values":
            return values
        kind = type(getattr(backend.namespace(x.data), name)(x.data))
        rest = {f: Tensor._of(getattr(found, f)) for f in kind._fields if f != "values"}
        return kind(values=values, **rest)

    made.__name__ = made.__qualname__ = name
    made.__module__ = "lamina.xp"
    made.__doc__ = (
        f"The standard's ``{name}``. The derivative of a value goes to the first element that has it."
    )
    return made


COMPOSED = {
    "broadcast_arrays": broadcast_arrays,
    "broadcast_shapes": broadcast_shapes,
    "diff": diff,
    "full_like": full_like,
    "meshgrid": meshgrid,
    "unique_all": _unique("unique_all"),
    "unique_counts": _unique("unique_counts"),
    "unique_inverse": _unique("unique_inverse"),
    "unique_values": _unique("unique_values"),
    "unstack": unstack,
}

for _f in COMPOSED.values():
    _f.__module__ = "lamina.xp"
