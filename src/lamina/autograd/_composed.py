"""Functions of the standard that are put together from others here, for arrays and tensors alike.

Those with a definition that is all mathematics are in ``_definitions.py``.
"""

from lamina import backend
from lamina.autograd._functions import COMPOSED, function, named, refuse_libraries
from lamina.autograd._tensor import Tensor
from lamina.autograd._unruled import has_tensor, namespace_among, raw


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
    space = namespace_among(arrays)
    refuse_libraries("broadcast_arrays", space, [raw(a) for a in arrays])
    if not has_tensor(arrays):
        return tuple(space.broadcast_arrays(*arrays))
    shape = broadcast_shapes(*[a.shape for a in arrays])
    return tuple(function("broadcast_to")(a, shape) for a in arrays)


def diff(x, /, *, axis=-1, n=1, prepend=None, append=None):
    """The standard's ``diff``, with its derivative: differences of neighbours, ``n`` times."""
    given = [part for part in (prepend, x, append) if part is not None]
    space = namespace_among(given)
    refuse_libraries("diff", space, [raw(part) for part in given])
    if not has_tensor(given):
        options = {} if prepend is None else {"prepend": prepend}
        options |= {} if append is None else {"append": append}
        return space.diff(x, axis=axis, n=n, **options)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"diff needs one of the axes of x, which has {x.ndim}, got {axis}")
    x = function("concat")(given, axis=axis) if len(given) > 1 else x
    difference = function("not_equal" if space.isdtype(x.dtype, "bool") else "subtract")
    lead = (slice(None),) * (axis % x.ndim)
    getitem = function("getitem")
    for _ in range(n):
        length = x.shape[axis]
        after = getitem(x, (*lead, slice(min(1, length), None), ...))
        x = difference(after, getitem(x, (*lead, slice(0, max(length - 1, 0)), ...)))
    return x


def full_like(x, /, fill_value, *, dtype=None, device=None):
    """The standard's ``full_like``, which also takes a tensor of one number, differentiably."""
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
    fill_value = fill_value if dtype is None else function("astype")(fill_value, dtype)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return function("broadcast_to")(fill_value, shape)


for _f in (broadcast_arrays, broadcast_shapes, diff, full_like):
    COMPOSED[_f.__name__] = named(_f, _f.__name__, _f.__doc__)
