"""Cases of the rules for discrete Fourier transforms."""

from _cases import Case, complexes, floats, spaced

REAL = {"fft.rfft", "fft.ihfft", "fft.rfftn"}
ONE = ("fft.fft", "fft.ifft", "fft.rfft", "fft.irfft", "fft.hfft", "fft.ihfft")
MANY = ("fft.fftn", "fft.ifftn", "fft.rfftn", "fft.irfftn")
NORMS = ("backward", "ortho", "forward")


def cases():
    for name in ONE:
        f = floats if name in REAL else complexes
        for n, norm in zip((None, 2, 5, 6, None), (*NORMS, *NORMS[:2]), strict=True):
            yield Case(name, f(4), n=n, norm=norm)
        yield Case(name, f(2, 4, 2), axis=1)
        yield Case(name, f(2, 3, 2), axis=-2, n=5)
        yield Case(name, spaced(f(2, 3)))
        yield Case(name, f(0, 3))
    for name in MANY:
        f = floats if name in REAL else complexes
        yield Case(name, f(3, 4))
        yield Case(name, f(2, 3, 4), s=(5, 4), axes=(0, 1), norm="forward")
        yield Case(name, f(2, 4, 3), axes=(2, 0), norm="ortho")
        yield Case(name, f(2, 4, 3), s=(3, 3), axes=(-1, 1))
        yield Case(name, spaced(f(4, 3)), axes=(1,))
    for name in ("fft.fftshift", "fft.ifftshift"):
        for f in (floats, complexes):
            yield Case(name, f(3, 4))
            yield Case(name, f(5, 3), axes=0)
            yield Case(name, f(2, 3, 2), axes=(0, -1))
