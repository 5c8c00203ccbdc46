"""Random numbers, the same on every backend: drawn from counter-based streams.

A stream is named, not advanced: ``Generator(seed, "dropout", layer, step)`` always gives the same
numbers, whatever was drawn before, on whichever thread. That makes a run repeatable, a resumed run
equal to an uninterrupted one, and the cut of a batch into shards invisible.

Uniform numbers and masks are drawn on the device that wants them (``philox.py``). Normal numbers
come from the host: they take logarithms or NumPy's tables, and the last bits of logarithms are not
the same in any two libraries.
"""

import itertools
import math
import os
import threading

import numpy as np

from lamina.backend import philox
from lamina.backend._backend import Backend, get


class Generator:
    """Draws from the stream that ``seed`` and ``stream`` name.

    Every array has words of the stream of its own, by its number, so what an array is made of does
    not depend on how much those before it took. ``place`` is the ``Backend`` an array is for; None
    is NumPy. Its numbers are the same on all of them, bit for bit.

    Args:
        seed: an integer.
        stream: integers and strings that tell this stream from others of the same seed.
    """

    def __init__(self, seed: int, *stream: int | str):
        key = _hashed("/".join(map(str, (seed, *stream))), 16)
        self._key = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
        self._arrays = 0  # drawn so far

    def uniform(self, shape, low=0.0, high=1.0, dtype="float32", place: Backend | None = None):
        """Numbers evenly spread over [low, high): 24 bits each in float32, 53 in float64.

        Rounding may reach ``high``: in float16, or where it is large beside ``high - low``.
        """
        exact, dtype = _kinds(dtype)
        width, bits = (64, 53) if exact == "float64" else (32, 24)
        shape, at = _shape(shape), _drawn_at(place)
        drawn = philox.numbers(at, self._key, self._next(), width, math.prod(shape))
        whole = drawn >> (width - bits)
        if width == 64:  # of a negative number the shift keeps the sign
            whole = whole & ((1 << bits) - 1)
        found = at.xp.astype(whole, at.dtype(exact))
        found *= 2.0**-bits
        if (low, high) != (0.0, 1.0):
            found *= float(high - low)
            found += float(low)
        return _handed(at.xp.reshape(found, shape), at, place, dtype)

    def bernoulli(self, shape, p: float, place: Backend | None = None):
        """True with probability p, exactly to 2^-32, else False."""
        p = float(p)
        if not 0 <= p <= 1:
            raise ValueError(f"bernoulli needs a probability p from 0 to 1, got {p!r}")
        # one bit tells heads from tails; more are drawn only for what needs them
        width = 1 if (2 * p).is_integer() else 8 if (256 * p).is_integer() else 32
        least = min(round((1.0 - p) * 2**width), 2**32 - 1)
        shape, at = _shape(shape), _drawn_at(place)
        found = philox.mask(at, self._key, self._next(), width, least, math.prod(shape))
        return _handed(at.xp.reshape(found, shape), at, place)

    def normal(self, shape, mean=0.0, stddev=1.0, dtype="float32", place: Backend | None = None):
        """Numbers from the normal distribution, copied from the host."""
        exact, dtype = _kinds(dtype)
        unit = np.asarray(self._host().standard_normal(shape, exact))
        return _handed(_scaled(unit, mean, stddev), _HOST, place, dtype)

    def truncated_normal(self, shape, mean=0.0, stddev=1.0, dtype="float32") -> np.ndarray:
        """Normal numbers, drawn again where they lie beyond two standard deviations."""
        exact, dtype = _kinds(dtype)
        draw = self._host()
        unit = np.asarray(draw.standard_normal(shape, exact))
        flat = unit.reshape(-1)
        far = np.flatnonzero(np.abs(flat) > 2)
        while far.size:
            again = draw.standard_normal(far.size, exact)
            flat[far] = again
            far = far[np.abs(again) > 2]
        return _handed(_scaled(unit, mean, stddev), _HOST, None, dtype)

    def integers(self, low, high, shape=()) -> np.ndarray:
        """Integers from low to high - 1, as int64."""
        return np.asarray(self._host().integers(low, high, shape))

    def permutation(self, n: int) -> np.ndarray:
        """The numbers 0 to n - 1 in random order, as int64."""
        return self._host().permutation(n)

    def _host(self) -> "np.random.Generator":
        return philox.host(self._key, self._next())

    def _next(self) -> int:
        self._arrays += 1
        return self._arrays - 1


_HOST = get("numpy")


def _shape(shape) -> tuple:
    return (int(shape),) if hasattr(shape, "__index__") else tuple(shape)


def _drawn_at(place: Backend | None) -> Backend:
    return place if place is not None and philox.draws(place) else _HOST


def _kinds(dtype):
    """The dtype to draw in (NumPy draws only float32 and float64) and the one to give back."""
    dtype = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    return ("float64" if dtype == "float64" else "float32"), dtype


def _scaled(unit, mean, stddev):
    unit *= unit.dtype.type(stddev)
    unit += unit.dtype.type(mean)
    return unit


def _handed(array, at: Backend, place: Backend | None, dtype=None):
    """``array`` of the backend ``at``, for ``place``."""
    array = at.asarray(array, dtype)
    return array if place is None or place is at else place.asarray(array)


class _Seeds:
    """The seeds handed to models and layers that were given none, in order."""

    def __init__(self, seed: int):
        self.seed = seed
        self.count = itertools.count()


_lock = threading.Lock()
_seeds = _Seeds(int.from_bytes(os.urandom(8), "little"))


def set_random_seed(seed: int) -> None:
    """Make everything drawn from here on repeatable: weights, shuffles, dropout masks.

    Concerns models and layers made afterwards; neither NumPy's nor Python's own generators are
    touched.
    """
    global _seeds
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"a seed is a whole number from 0 on, got {seed!r}")
    with _lock:
        _seeds = _Seeds(int(seed))


def next_seed() -> int:
    """A new seed from the process's sequence, for something that was given none."""
    with _lock:
        seeds, number = _seeds, next(_seeds.count)
    return int.from_bytes(_hashed(f"{seeds.seed}/seed/{number}", 8), "little") >> 1


def _hashed(name: str, size: int) -> bytes:
    from hashlib import blake2b  # loads OpenSSL, which a program that draws nothing can spare

    return blake2b(name.encode(), digest_size=size).digest()
