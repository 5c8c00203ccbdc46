"""Where a library's own namespace falls short of the standard, one that does not."""

import functools
import importlib

from lamina.backend._backend import name as _name


@functools.cache
def whole(xp):
    """The namespace with the standard's own parameters over the library of ``xp``.

    NumPy itself has a few functions with others: ``sort`` without ``descending``, ``fft.fftfreq``
    without ``dtype``. The rest is the same, and NumPy's own costs less per call.
    """
    return importlib.import_module("array_api_compat.numpy") if _name(xp) == "numpy" else xp


def spectrum(xp, name, x):
    """``linalg.eig`` or ``linalg.eigvals`` of ``x``, whose results the standard has complex.

    NumPy gives real ones where all eigenvalues happen to be.
    """
    found = getattr(xp.linalg, name)(x)
    if _name(xp) != "numpy":
        return found
    dtype = xp.result_type(x.dtype, xp.complex64)
    if isinstance(found, tuple):
        return type(found)(*[xp.astype(part, dtype, copy=False) for part in found])
    return xp.astype(found, dtype, copy=False)
