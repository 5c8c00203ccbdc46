"""The axes of images, signals and volumes, and options that have a number for each.

Spatial axes are all but the batch and the channels: 1 to n for ``channels_last`` (batch, ...,
channels), 2 to n + 1 for ``channels_first`` (batch, channels, ...).
"""

import operator

DATA_FORMATS = ("channels_first", "channels_last")


def check_format(data_format) -> None:
    """Raise where ``data_format`` is none."""
    if data_format not in DATA_FORMATS:
        raise ValueError(f'data_format is "channels_last" or "channels_first", got {data_format!r}')


def spatial_axes(ndim: int, data_format: str) -> tuple[int, ...]:
    """The axes that are neither the batch nor the channels.

    Raises:
        ValueError: for another ``data_format`` than "channels_last" and "channels_first", and where
            there are no such axes.
    """
    check_format(data_format)
    if ndim < 3:
        raise ValueError(
            "spatial axes lie between the batch and the channels, got an array with "
            f"{ndim} axes: add a channel axis, x[..., None]"
        )
    return tuple(range(1, ndim - 1)) if data_format == "channels_last" else tuple(range(2, ndim))


def each_axis(name: str, value, count: int, least: int = 1) -> tuple[int, ...]:
    """``value``, one whole number or one per axis, as one per axis.

    Raises:
        ValueError: for anything else, or a number below ``least``.
    """
    values = value if isinstance(value, tuple | list) else (value,) * count
    try:
        numbers = tuple(operator.index(v) for v in values)
    except TypeError:
        numbers = ()
    wrong = any(isinstance(v, bool) for v in values) or len(numbers) != count
    if wrong or min(numbers) < least:
        raise ValueError(
            f"{name} is one whole number from {least} on"
            + (f", or one for each of {count} axes" if count > 1 else "")
            + f", got {value!r}"
        )
    return numbers


def frozen(value):
    """Lists as tuples, by which windows can be remembered."""
    return tuple(value) if isinstance(value, list) else value
