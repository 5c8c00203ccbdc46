"""Where the windows of a convolution lie on its image: plain numbers, found once per shape.

Along one axis, window ``i`` sees with its place ``j`` the position

    i * stride + j * dilation - before

of the image, where positions off the image hold zeros. Convolutions, their gradients and their
transposes differ only in which side is given and which is sought.
"""

import functools
import itertools
from typing import NamedTuple

from lamina.errors import unknown
from lamina.ops._axes import each_axis

PADDINGS = ("causal", "same", "valid")


class Windows(NamedTuple):
    """Windows over an image; every field has one number for each spatial axis.

    Attributes:
        image: lengths of the image.
        count: how many windows there are.
        size: places in a window.
        strides: from one window to the next.
        dilation: from one place to the next.
        before: zeros put in front of the image.
        reach: how much of the padded image the windows see.
    """

    image: tuple[int, ...]
    count: tuple[int, ...]
    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    reach: tuple[int, ...]

    @property
    def after(self) -> tuple[int, ...]:
        """Zeros put behind the image; less than 0 where its end is not looked at."""
        parts = zip(self.reach, self.image, self.before, strict=True)
        return tuple(reach - image - before for reach, image, before in parts)

    def places(self):
        """All places of a window, row by row."""
        return itertools.product(*map(range, self.size))

    def seen_from(self, place) -> tuple[slice, ...]:
        """Which positions of the padded image the windows see with one place."""
        parts = zip(place, self.count, self.strides, self.dilation, strict=True)
        return tuple(slice(j * d, j * d + (m - 1) * s + 1, s) for j, m, s, d in parts)


@functools.lru_cache(maxsize=512)
def windows(image, size, strides, padding, dilation) -> Windows:
    """The windows of a convolution over an image.

    Padding is Keras's: "valid" none, "same" so much that there are ``ceil(image / stride)`` windows
    (the odd zero behind), "causal" all in front, so that no window looks ahead.

    Args:
        image, size: tuples of lengths.
        strides, dilation: a number, or one for each axis.
        padding: one of ``PADDINGS``.

    Raises:
        ValueError: for options that are none, and where no window fits.
    """
    strides = each_axis("strides", strides, len(size))
    dilation = each_axis("dilation_rate", dilation, len(size))
    if padding not in PADDINGS:
        raise unknown("padding", padding, PADDINGS)
    if padding == "causal" and len(size) > 1:
        raise ValueError(f"padding='causal' is for one spatial axis, got {len(size)}: use 'same'")
    before, count, reach = [], [], []
    for n, k, s, d in zip(image, size, strides, dilation, strict=True):
        span = (k - 1) * d + 1
        if padding == "same":
            zeros = max((-(-n // s) - 1) * s + span - n, 0)
            before.append(zeros // 2)
        else:
            zeros = span - 1 if padding == "causal" else 0
            before.append(zeros)
        count.append((n + zeros - span) // s + 1 if n else 0)
        reach.append((count[-1] - 1) * s + span)
    if min(count) < 1:
        raise ValueError(
            f"a window of {_shown(size, dilation)} does not fit into an image of {tuple(image)}: "
            "use a smaller kernel, padding='same', or larger images"
        )
    return Windows(
        tuple(image), tuple(count), tuple(size), strides, dilation, tuple(before), tuple(reach)
    )


@functools.lru_cache(maxsize=512)
def transposed_windows(count, size, strides, padding, output_padding, dilation) -> Windows:
    """The windows that a transposed convolution adds up, and the image that they make.

    The image is as long as Keras makes it: for "same" ``count * stride``, for "valid" as far as the
    windows reach, and at least ``count * stride``; with ``output_padding`` p for "same"
    ``(count - 1) * stride + span % 2 + p``, for "valid" ``(count - 1) * stride + span + p``, where
    span is the length of a window.
    """
    strides = each_axis("strides", strides, len(size))
    dilation = each_axis("dilation_rate", dilation, len(size))
    extra = (None,) * len(size)
    if output_padding is not None:
        extra = each_axis("output_padding", output_padding, len(size), least=0)
    if padding not in ("same", "valid"):
        raise unknown("padding", padding, ("same", "valid"))
    image, before, reach = [], [], []
    for m, k, s, d, p in zip(count, size, strides, dilation, extra, strict=True):
        span = (k - 1) * d + 1
        whole = (m - 1) * s + span
        if padding == "valid":
            before.append(0)
            image.append(whole + (max(s - span, 0) if p is None else p))
        else:
            # Keras's number of zeros around the spread-out inputs, the odd one in front
            room = s + span - 2 if p is None else span + span % 2 - 2 + p
            before.append(span - 1 - min(room - room // 2, span - 1))
            image.append((m - 1) * s + room - span + 2)
        reach.append(whole)
    if min(image) < 1 or min(count) < 1:
        raise ValueError(
            f"a transposed convolution of {tuple(count)} with a window of "
            f"{_shown(size, dilation)} leaves an image of {tuple(image)}: use a larger kernel or "
            "stride, or padding='valid'"
        )
    return Windows(
        tuple(image), tuple(count), tuple(size), strides, dilation, tuple(before), tuple(reach)
    )


def _shown(size, dilation) -> str:
    """A window in words: its length along each axis."""
    spans = tuple((k - 1) * d + 1 for k, d in zip(size, dilation, strict=True))
    return f"{spans}" + (f" (kernel {tuple(size)}, dilated)" if spans != tuple(size) else "")
