"""Elements in other places: a border around them, a part of them, their axes in another order."""

from lamina.ops._op import op


@op
def pad(xp, x, *, pad_width, value=0.0):
    """``x`` with a border of ``value``.

    Args:
        x: any array.
        pad_width: for every axis a pair: so many elements in front, so many behind.
        value: the number in the border.

    Raises:
        ValueError: where there is not one pair of whole numbers from 0 on for every axis.
    """
    check_pairs("pad_width", pad_width, x.ndim)
    for axis, (before, after) in enumerate(pad_width):
        parts = [_border(xp, x, axis, before, value), x, _border(xp, x, axis, after, value)]
        if before or after:
            x = xp.concat(parts, axis=axis)
    return x


def _border(xp, x, axis, width, value):
    shape = (*x.shape[:axis], width, *x.shape[axis + 1 :])
    return xp.full(shape, value, dtype=x.dtype, device=x.device)


@op
def crop(xp, x, *, cropping):
    """``x`` without its border: the transpose of ``pad``.

    Args:
        x: any array.
        cropping: for every axis a pair: so many elements off the front, so many off the end.

    Raises:
        ValueError: where there is not one pair of whole numbers from 0 on for every axis, and
            where nothing would be left.
    """
    return x[inner(x.shape, cropping)]


@op
def permute(xp, x, *, axes):
    """``x`` with its axes in the order ``axes``."""
    return xp.permute_dims(x, tuple(axes))


@op
def repeat_vector(xp, x, *, n):
    """Every row ``n`` times: (batch, features) becomes (batch, n, features)."""
    return xp.broadcast_to(xp.expand_dims(x, axis=1), (x.shape[0], n, x.shape[1]))


def inner(shape, cropping) -> tuple[slice, ...]:
    """The key of what ``crop`` leaves.

    Raises:
        ValueError: as ``crop``.
    """
    check_pairs("cropping", cropping, len(shape))
    for n, pair in zip(shape, cropping):
        if any(pair) and sum(pair) >= n:
            raise ValueError(
                f"crop must leave something of every axis, got {tuple(map(tuple, cropping))} off "
                f"the shape {tuple(shape)}"
            )
    return tuple(slice(a, n - b) for n, (a, b) in zip(shape, cropping))


def check_pairs(name: str, pairs, ndim: int) -> None:
    """Raise where ``pairs`` has not two whole numbers from 0 on for every axis."""
    right = len(pairs) == ndim and all(
        len(pair) == 2 and all(isinstance(n, int) and n >= 0 for n in pair) for pair in pairs
    )
    if not right:
        raise ValueError(
            f"{name} has two whole numbers from 0 on for each of {ndim} axes, got {pairs!r}"
        )
