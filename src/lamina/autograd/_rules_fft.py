"""Rows of the table of rules for discrete Fourier transforms.

``_rules.py`` says what a row is. The adjoint of a transform is the one with the other sign in the
exponent and the same factor, which the norms "backward" (1 and 1/n) and "forward" (1/n and 1) say
with their names exchanged. A transform cuts its input to n or fills it with zeros; its adjoint
does so with its result. Real transforms keep half of a spectrum whose other half is its conjugate.
"""

from lamina.autograd._rules import conj, vjp

_OTHER = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


# ---- along one axis ---------------------------------------------------------------------------

_ONE = "x, /, *, n=None, axis=-1, norm='backward'"

vjp(
    "fft.fft",
    _ONE,
    x=lambda xp, g, x_shape, axis, norm: _resized(
        xp, xp.fft.ifft(g, axis=axis, norm=_OTHER[norm]), x_shape
    ),
)
vjp(
    "fft.ifft",
    _ONE,
    x=lambda xp, g, x_shape, axis, norm: _resized(
        xp, xp.fft.fft(g, axis=axis, norm=_OTHER[norm]), x_shape
    ),
)
vjp(
    "fft.rfft",
    _ONE,
    x=lambda xp, g, x_shape, n, axis, norm: _undo_rfft(xp, g, x_shape, n, axis, _OTHER[norm]),
)
vjp(
    "fft.irfft",
    _ONE,
    x=lambda xp, g, x_shape, axis, norm: _undo_irfft(xp, g, x_shape, (axis,), _OTHER[norm]),
)
# hfft(x) is irfft(conj(x)) and ihfft(x) is conj(rfft(x)), with the norms exchanged
vjp(
    "fft.hfft",
    _ONE,
    x=lambda xp, g, x_shape, axis, norm: conj(xp, _undo_irfft(xp, g, x_shape, (axis,), norm)),
)
vjp(
    "fft.ihfft",
    _ONE,
    x=lambda xp, g, x_shape, n, axis, norm: _undo_rfft(xp, conj(xp, g), x_shape, n, axis, norm),
)

# ---- along several axes -----------------------------------------------------------------------

_MANY = "x, /, *, s=None, axes=None, norm='backward'"

vjp(
    "fft.fftn",
    _MANY,
    x=lambda xp, g, x_shape, s, axes, norm: _resized(
        xp, xp.fft.ifftn(g, axes=_axes(x_shape, s, axes), norm=_OTHER[norm]), x_shape
    ),
)
vjp(
    "fft.ifftn",
    _MANY,
    x=lambda xp, g, x_shape, s, axes, norm: _resized(
        xp, xp.fft.fftn(g, axes=_axes(x_shape, s, axes), norm=_OTHER[norm]), x_shape
    ),
)
vjp(
    "fft.rfftn",
    _MANY,
    x=lambda xp, g, x_shape, s, axes, norm: _undo_rfftn(
        xp, g, x_shape, s, _axes(x_shape, s, axes), _OTHER[norm]
    ),
)
vjp(
    "fft.irfftn",
    _MANY,
    x=lambda xp, g, x_shape, s, axes, norm: _undo_irfft(
        xp, g, x_shape, _axes(x_shape, s, axes), _OTHER[norm]
    ),
)
vjp("fft.fftshift", "x, /, *, axes=None", x=lambda xp, g, axes: xp.fft.ifftshift(g, axes=axes))
vjp("fft.ifftshift", "x, /, *, axes=None", x=lambda xp, g, axes: xp.fft.fftshift(g, axes=axes))


def _axes(shape, s, axes) -> tuple[int, ...]:
    """The axes that a transform of several goes over: the last ones where only sizes are given."""
    if axes is not None:
        return tuple(axes)
    count = len(shape) if s is None else len(s)
    return tuple(range(len(shape) - count, len(shape)))


def _resized(xp, x, shape):
    """``x`` cut, or filled up with zeros, to ``shape``: the transpose of doing so the other way."""
    for axis, (n, wanted) in enumerate(zip(x.shape, shape, strict=True)):
        if n > wanted:
            x = x[(*(slice(None),) * axis, slice(0, wanted), ...)]
        elif n < wanted:
            rest = (*x.shape[:axis], wanted - n, *x.shape[axis + 1 :])
            x = xp.concat([x, xp.zeros(rest, dtype=x.dtype, device=x.device)], axis=axis)
    return x


def _undo_rfft(xp, g, shape, n, axis, norm):
    """rfft keeps the first half of the spectrum of a real x: the other half gets no gradient."""
    n = shape[axis] if n is None else n
    return _resized(xp, xp.real(xp.fft.ifft(g, n=n, axis=axis, norm=norm)), shape)


def _undo_rfftn(xp, g, shape, s, axes, norm):
    s = tuple(shape[axis] for axis in axes) if s is None else tuple(s)
    return _resized(xp, xp.real(xp.fft.ifftn(g, s=s, axes=axes, norm=norm)), shape)


def _undo_irfft(xp, g, shape, axes, norm):
    """irfft and irfftn read half of a spectrum, each number but the outermost for two of them."""
    n, axis = g.shape[axes[-1]], axes[-1] % g.ndim
    half = xp.fft.rfftn(g, axes=axes, norm=norm)
    numbers = xp.arange(n // 2 + 1, device=g.device)
    twice = (numbers > 0) & (2 * numbers < n)
    twice = xp.reshape(twice, (-1, *(1,) * (g.ndim - 1 - axis)))
    return _resized(xp, xp.where(twice, 2.0 * half, half), shape)
