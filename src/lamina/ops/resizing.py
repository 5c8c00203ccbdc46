"""Images, signals and volumes in another size."""

from lamina.errors import unknown
from lamina.ops._axes import each_axis, spatial_axes
from lamina.ops._op import op
from lamina.ops._resampling import INTERPOLATIONS, resampled, stretched


@op
def resize(xp, x, *, size, interpolation="bilinear", antialias=False, data_format="channels_last"):
    """``x`` with its spatial axes stretched or shrunk to ``size``.

    Element i of an axis of m, made from one of n, is read at ``(i + 1/2) * n / m - 1/2``, as in
    Keras and in PyTorch with ``align_corners=False``: from the nearest element, from two by
    "bilinear", from four by "bicubic" (Keys, 1981, with a = -1/2, as in Keras; PyTorch has -3/4),
    from six or ten by "lanczos3" and "lanczos5". What lies outside the image does not count.

    Args:
        x: images (batch, ..., channels), or (batch, channels, ...) for "channels_first", with any
            number of spatial axes.
        size: the new length of every spatial axis, or one for all.
        interpolation: one of the names above.
        antialias: whether a shrunken image is smoothed first, so that fine patterns do not turn
            into coarse ones.
        data_format: "channels_last" or "channels_first".

    Returns:
        (batch, *size, channels), or with the channels first.

    Raises:
        ValueError: for an unknown interpolation, a size that makes no sense, and empty images.
    """
    for axis, length, count in resizes(x.shape, size, None, interpolation, data_format):
        x = resampled(xp, x, axis, stretched(length, count, interpolation, antialias))
    return x


@op
def up_sample(xp, x, *, size=2, interpolation="nearest", data_format="channels_last"):
    """``x`` with its spatial axes ``size`` times as long: ``resize`` by a whole number.

    Args:
        x, interpolation, data_format: as for ``resize``.
        size: how many elements become of one; one number, or one per spatial axis.

    Returns:
        (batch, ..., channels), or with the channels first.

    Raises:
        ValueError: as ``resize``.
    """
    for axis, length, count in resizes(x.shape, None, size, interpolation, data_format):
        x = resampled(xp, x, axis, stretched(length, count, interpolation, False))
    return x


def resizes(shape, size, times, interpolation, data_format) -> list[tuple[int, int, int]]:
    """The axes that change, with their length before and after: by ``size``, or so many ``times``.

    Raises:
        ValueError: as ``resize``.
    """
    axes = spatial_axes(len(shape), data_format)
    if interpolation not in INTERPOLATIONS:
        raise unknown("interpolation", interpolation, INTERPOLATIONS)
    if size is not None:
        counts = each_axis("size", size, len(axes))
    else:
        counts = [shape[a] * n for a, n in zip(axes, each_axis("size", times, len(axes)))]
    if any(shape[a] == 0 for a in axes):
        raise ValueError(
            f"an image without elements cannot be resized, got shape {tuple(shape)}: drop it"
        )
    return [(a, shape[a], n) for a, n in zip(axes, counts) if n != shape[a]]
