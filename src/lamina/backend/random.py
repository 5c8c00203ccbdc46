"""Random numbers, the same on every backend: drawn on the host from counter-based streams.

A stream is named, not advanced: ``Generator(seed, "dropout", layer, step)`` always gives the same
numbers, whatever was drawn before, on whichever thread. That makes a run repeatable, a resumed run
equal to an uninterrupted one, and the cut of a batch into shards invisible.
Philox: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

import itertools
import os
import threading

import numpy as np


class Generator:
    """Draws from the stream that ``seed`` and ``stream`` name.

    Args:
        seed: an integer.
        stream: integers and strings that tell this stream from others of the same seed.
    """

    def __init__(self, seed: int, *stream: int | str):
        key = _hashed("/".join(map(str, (seed, *stream))), 16)
        self._draw = np.random.Generator(np.random.Philox(key=np.frombuffer(key, np.uint64)))

    def uniform(self, shape, low=0.0, high=1.0, dtype="float32") -> np.ndarray:
        """Numbers evenly spread over [low, high)."""
        kind, dtype = _kinds(dtype)
        unit = self._draw.random(shape, kind)
        return np.asarray(unit * kind(high - low) + kind(low), dtype=dtype)

    def normal(self, shape, mean=0.0, stddev=1.0, dtype="float32") -> np.ndarray:
        """Numbers from the normal distribution."""
        kind, dtype = _kinds(dtype)
        unit = self._draw.standard_normal(shape, kind)
        return np.asarray(unit * kind(stddev) + kind(mean), dtype=dtype)

    def truncated_normal(self, shape, mean=0.0, stddev=1.0, dtype="float32") -> np.ndarray:
        """Normal numbers, drawn again where they lie beyond two standard deviations."""
        kind, dtype = _kinds(dtype)
        unit = np.asarray(self._draw.standard_normal(shape, kind))
        far = np.abs(unit) > 2
        while far.any():
            unit[far] = self._draw.standard_normal(int(far.sum()), kind)
            far = np.abs(unit) > 2
        return np.asarray(unit * kind(stddev) + kind(mean), dtype=dtype)

    def integers(self, low, high, shape=()) -> np.ndarray:
        """Integers from low to high - 1, as int64."""
        return np.asarray(self._draw.integers(low, high, shape))

    def permutation(self, n: int) -> np.ndarray:
        """The numbers 0 to n - 1 in random order, as int64."""
        return self._draw.permutation(n)


def _kinds(dtype):
    """The dtype to draw in (NumPy draws only float32 and float64) and the one to give back."""
    dtype = np.dtype(dtype)
    return (np.float64 if dtype == np.float64 else np.float32), dtype


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
