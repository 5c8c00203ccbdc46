"""Images moved, turned and scaled: every pixel read where a transform says."""

from lamina.errors import unknown
from lamina.ops._op import op

FILL_MODES = ("constant", "nearest", "reflect", "wrap")
SAMPLINGS = ("nearest", "bilinear")


@op
def affine_transform(
    xp, x, transform, *, interpolation="bilinear", fill_mode="constant", fill_value=0.0,
    data_format="channels_last",
):  # fmt: skip
    """Each image as seen through a transform of the plane.

        out[n, row, column] = x[n, row', column']
        (column', row') = transform[n] @ (column, row, 1)

    Between pixels the four around are averaged by their nearness ("bilinear"), or the nearest is
    taken. Outside the image lies ``fill_value`` ("constant"), or the image goes on:

        "nearest"  a a a | a b c d | d d d
        "reflect"  c b a | a b c d | d c b
        "wrap"     b c d | a b c d | a b c

    Args:
        x: images (batch, height, width, channels), or with the channels first.
        transform: two rows for each image, (batch, 2, 3), in pixels.
        interpolation, fill_mode, fill_value: as above.
        data_format: "channels_last" or "channels_first".

    Returns:
        the shape of x.

    Raises:
        ValueError: for shapes and names that are none of these.
    """
    for name, value, known in (
        ("interpolation", interpolation, SAMPLINGS),
        ("fill_mode", fill_mode, FILL_MODES),
    ):
        if value not in known:
            raise unknown(name, value, known)
    if x.ndim != 4 or tuple(transform.shape) != (x.shape[0], 2, 3):
        raise ValueError(
            "affine_transform needs images (batch, height, width, channels) and a transform "
            f"(batch, 2, 3), got {tuple(x.shape)} and {tuple(transform.shape)}"
        )
    if data_format == "channels_first":
        x = xp.moveaxis(x, 1, -1)
    n, height, width, _ = x.shape
    rows, columns = (
        xp.reshape(xp.arange(count, dtype=transform.dtype, device=x.device), shape)
        for count, shape in ((height, (1, height, 1)), (width, (1, 1, width)))
    )
    (a, b, c), (d, e, f) = (
        [xp.reshape(transform[:, i, j], (n, 1, 1)) for j in range(3)] for i in range(2)
    )
    column, row = a * columns + b * rows + c, d * columns + e * rows + f

    def at(rows, columns):
        return _read(xp, x, rows, columns, fill_mode, fill_value)

    if interpolation == "nearest":
        out = at(xp.floor(row + 0.5), xp.floor(column + 0.5))
    else:
        top, left = xp.floor(row), xp.floor(column)
        down, right = (
            xp.expand_dims(xp.astype(part, x.dtype), axis=-1) for part in (row - top, column - left)
        )
        upper = at(top, left) * (1.0 - right) + at(top, left + 1.0) * right
        lower = at(top + 1.0, left) * (1.0 - right) + at(top + 1.0, left + 1.0) * right
        out = upper * (1.0 - down) + lower * down
    return xp.moveaxis(out, -1, 1) if data_format == "channels_first" else out


@op
def crop_each(xp, x, starts, *, size, data_format="channels_last"):
    """A window of ``size`` out of each image, each at a place of its own.

    Args:
        x: images (batch, height, width, channels), or with the channels first.
        starts: first row and first column of each, whole numbers (batch, 2).
        size: height and width of the windows.
        data_format: "channels_last" or "channels_first".

    Returns:
        (batch, *size, channels), or with the channels first.
    """
    if data_format == "channels_first":
        x = xp.moveaxis(x, 1, -1)
    rows, columns = (
        xp.reshape(starts[:, i], (-1, 1, 1))
        + xp.reshape(xp.arange(size[i], dtype=starts.dtype, device=x.device), shape)
        for i, shape in ((0, (1, -1, 1)), (1, (1, 1, -1)))
    )
    out = _gather(xp, x, rows, columns)
    return xp.moveaxis(out, -1, 1) if data_format == "channels_first" else out


def _read(xp, x, rows, columns, fill_mode, fill_value):
    """The pixels at whole ``rows`` and ``columns``, which may lie outside."""
    height, width = x.shape[1:3]
    values = _gather(
        xp, x, *(
            xp.astype(_within(xp, place, count, fill_mode), xp.int64)
            for place, count in ((rows, height), (columns, width))
        )
    )  # fmt: skip
    if fill_mode != "constant":
        return values
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return xp.where(xp.expand_dims(inside, axis=-1), values, fill_value)


def _within(xp, place, count, fill_mode):
    """``place`` as the number of an element of an axis of ``count``."""
    if fill_mode == "wrap":
        return xp.remainder(place, count)
    if fill_mode == "reflect":
        place = xp.remainder(place, 2 * count)
        return xp.minimum(place, 2 * count - 1 - place)
    return xp.clip(place, 0, count - 1)


def _gather(xp, x, rows, columns):
    """``x[n, rows[n], columns[n]]`` for every image n."""
    n, height, width, channels = x.shape
    first = xp.arange(n, dtype=rows.dtype, device=x.device) * (height * width)
    index = rows * width + columns + xp.reshape(first, (n, 1, 1))
    pixels = xp.reshape(x, (n * height * width, channels))
    values = xp.take(pixels, xp.reshape(index, (-1,)), axis=0)
    return xp.reshape(values, (*index.shape, channels))
