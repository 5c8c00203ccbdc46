"""Where a library's own namespace falls short of the standard, one that does not."""

import functools
import importlib

from lamina.backend._backend import name


@functools.cache
def whole(xp):
    """The namespace with the standard's own parameters over the library of ``xp``.

    NumPy itself has a few functions with others: ``sort`` without ``descending``, ``fft.fftfreq``
    without ``dtype``. The rest is the same, and NumPy's own costs less per call.
    """
    return importlib.import_module("array_api_compat.numpy") if name(xp) == "numpy" else xp
