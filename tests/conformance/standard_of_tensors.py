"""Namespaces for the standard's conformance suite in which every array is a ``lamina.Tensor``.

``ARRAY_API_TESTS_MODULE`` names one of them:

    standard_of_tensors.constant    what is made from numbers is a constant tensor
    standard_of_tensors.recording   and floating-point tensors require a gradient, so that every
                                    function records, as in a program that is differentiated

The library below is that of ``LAMINA_BACKEND``.
"""

import functools
import types

import lamina
from lamina.autograd._creation import CREATING
from lamina.autograd._namespace import of_tensors, standard
from lamina.autograd._tensor import FLOATING

_xp = lamina.backend.get().xp


def _namespace(name, change=None):
    """The namespace of a tensor as a module, as suites import it."""
    inner = of_tensors(_xp)
    module = types.ModuleType(name)
    module.__array_api_version__ = inner.__array_api_version__
    module.__array_namespace_info__ = inner.__array_namespace_info__
    for key in (*standard(), "fft", "linalg"):
        try:
            value = getattr(inner, key)
        except AttributeError:  # the library lacks it, which is for the suite to tell
            continue
        setattr(module, key, change(value) if change and key in _MAKING else value)
    return module


_MAKING = {*CREATING, "empty_like", "full_like", "ones_like", "zeros_like"}


def _requiring(function):
    """A function whose floating-point results require a gradient."""

    @functools.wraps(function)
    def made(*args, **kwargs):
        out = function(*args, **kwargs)
        if out.requires_grad or not _xp.isdtype(out.dtype, FLOATING):
            return out
        return lamina.Tensor(out.data, requires_grad=True)

    return made


def __getattr__(name):
    if name == "constant":
        return _namespace("standard_of_tensors.constant")
    if name == "recording":
        # the suite reads results by float(x) and its kin, which refuse to lose a gradient
        lamina.Tensor._plain = lambda self, kind: self.item()
        return _namespace("standard_of_tensors.recording", _requiring)
    raise AttributeError(f"choose constant or recording, got {name!r}")
