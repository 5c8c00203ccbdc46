"""Settings of the library: plain values, read when they are needed.

``lamina.config.set_floatx("float64")`` changes what new models and tensors are made of; what exists
already is never touched. Environment variables are read once, at import.
"""

import os

_FLOATS = ("float16", "bfloat16", "float32", "float64")

_floatx = "float32"
_policy = None
_tf32_is_settled = False
_epsilon = 1e-7
_workers = None


def _switch(variable: str) -> bool:
    """Whether a variable of the environment is 1, as where it is not set, or 0.

    Raises:
        ValueError: for anything else.
    """
    said = os.environ.get(variable) or "1"
    if said not in ("0", "1"):
        raise ValueError(f"{variable} must be 0 (off) or 1 (on), or not be set, got {said!r}")
    return said == "1"


_keep_memory = _switch("LAMINA_KEEP_MEMORY")
_deterministic = _switch("LAMINA_DETERMINISTIC")
_numba = _switch("LAMINA_NUMBA")


def floatx() -> str:
    """The dtype that data, weights and Python floats become where nothing else is said.

    So it is wherever lamina takes numbers in: ``Tensor``, ``grad`` and its kin, data of models,
    ``Backend.asarray``. Functions of ``lamina.xp`` are the array library's: what they make of
    numbers alone, as ``xp.asarray(1.0)`` and ``xp.tanh(0.5)``, has its default dtype, float64 on
    NumPy. A Python number beside an array takes the array's dtype.
    """
    return _floatx


def set_floatx(dtype: str) -> None:
    """Set the default float dtype: "float32" (as it starts), "float64", "float16" or "bfloat16".

    Raises:
        ValueError: for any other name.
    """
    global _floatx
    if dtype not in _FLOATS:
        from lamina.errors import unknown

        raise unknown("float dtype", dtype, _FLOATS)
    _floatx = dtype


def dtype_policy():
    """The ``DTypePolicy`` of layers that name no dtype: that of :func:`set_dtype_policy`."""
    from lamina.dtype_policies import DTypePolicy

    return _policy or DTypePolicy(_floatx)


def set_dtype_policy(policy) -> None:
    """Set the policy of layers made from now on; those that are there keep theirs.

    Args:
        policy: a name such as "mixed_float16" or "float64", or a ``DTypePolicy``; None goes back
            to :func:`floatx`, as it starts.

    Raises:
        ValueError: for an unknown name, or one of whole numbers.
    """
    global _policy
    from lamina.dtype_policies import FLOATS, get

    policy = get(policy)
    if policy is not None and policy.variable_dtype not in FLOATS:
        raise ValueError(
            f"layers compute with floats unless told otherwise one by one, got {policy.name!r}: "
            "set a float dtype or a mixed policy, and give single layers their dtype="
        )
    _policy = policy


def chosen_policy():
    """The policy of :func:`set_dtype_policy`, or None where it was not called."""
    return _policy


def epsilon() -> float:
    """The small number that keeps logarithms and quotients of probabilities finite: 1e-7."""
    return _epsilon


def set_epsilon(value: float) -> None:
    """Set :func:`epsilon`."""
    global _epsilon
    if not 0 < value < 1:
        raise ValueError(f"epsilon must lie between 0 and 1, got {value!r}")
    _epsilon = float(value)


def workers() -> int:
    """How many threads share the micro-batches of a step on the CPU.

    ``LAMINA_WORKERS`` or :func:`set_workers`, else the cores this process may run on, at most 8.
    The numbers that training produces do not depend on it, only how soon they are there.
    """
    global _workers
    if _workers is None:
        wanted = os.environ.get("LAMINA_WORKERS")
        if wanted and not wanted.isdecimal():
            raise ValueError(f"LAMINA_WORKERS must be a whole number from 1 on, got {wanted!r}")
        _workers = _checked_workers(int(wanted)) if wanted else min(8, usable_cores())
    return _workers


def set_workers(count: int) -> None:
    """Set :func:`workers`; 1 runs everything on the calling thread."""
    global _workers
    _workers = _checked_workers(count)


def usable_cores() -> int:
    """The cores this process may run on: what the scheduler allows, not what the machine has."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def keep_memory() -> bool:
    """Whether freed host memory stays with the process while NumPy models train.

    It is faster (fresh memory is the largest cost of NumPy's big temporaries) and it concerns the
    whole process, so ``LAMINA_KEEP_MEMORY=0`` or ``set_keep_memory(False)`` before the first
    training step leaves the C library as it was.
    """
    return _keep_memory


def set_keep_memory(keep: bool) -> None:
    """Set :func:`keep_memory`. Memory already kept is not given back."""
    global _keep_memory
    _keep_memory = bool(keep)


def numba() -> bool:
    """Whether loops that numba compiles do what would be several operations of NumPy's.

    It concerns large arrays alone, and nothing where numba is not installed. A loop is compiled in
    up to two seconds when it is first needed, and kept on disk. Sums are rounded in another order,
    so numbers differ in their last digits from those without.
    """
    return _numba


def set_numba(use: bool) -> None:
    """Set :func:`numba`; ``LAMINA_NUMBA=0`` does so from outside."""
    global _numba
    _numba = bool(use)


def tf32() -> bool:
    """Whether CuPy multiplies float32 matrices with inputs rounded to 10 bits: TF32, far faster.

    ``CUPY_TF32`` or :func:`set_tf32`; it starts off. CuPy itself has it in products of two
    matrices only, not in those of stacks of them.
    """
    return os.environ.get("CUPY_TF32", "0").strip() not in ("", "0")


def set_tf32(on: bool) -> None:
    """Set :func:`tf32`, before CuPy is used: it looks once, at its first product.

    Raises:
        RuntimeError: for a change after the CuPy backend was opened.
    """
    if bool(on) != tf32() and _tf32_is_settled:
        raise RuntimeError(
            f"CuPy looks for TF32 once, at its first product, so set_tf32({bool(on)}) must come "
            f"before the backend 'cupy' is first used: call it right after importing lamina, or "
            f"start the program with CUPY_TF32={int(bool(on))}"
        )
    os.environ["CUPY_TF32"] = str(int(bool(on)))


def settle_tf32() -> None:
    """Note that CuPy is in use."""
    global _tf32_is_settled
    _tf32_is_settled = True


def deterministic() -> bool:
    """Whether a run on a GPU repeats itself to the last bit, which it does unless told not to.

    It concerns sums into places that are named by numbers: the derivatives of ``take``, of indexing
    and, by them, of embeddings. In the order a device finds, by atomic additions, they are rounded
    otherwise in every run. In a fixed order they take a sort of the numbers first, and every place
    adds up its own values one by one, which is slow where most of them go to a few places. On a
    CPU the order is fixed always.
    """
    return _deterministic


def set_deterministic(deterministic: bool) -> None:
    """Set :func:`deterministic`; ``LAMINA_DETERMINISTIC=0`` does so from outside."""
    global _deterministic
    _deterministic = bool(deterministic)


def _checked_workers(count: int) -> int:
    if count < 1:
        raise ValueError(f"the number of workers must be at least 1, got {count}")
    return int(count)


__all__ = [
    "deterministic",
    "dtype_policy",
    "epsilon",
    "floatx",
    "keep_memory",
    "numba",
    "set_deterministic",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_keep_memory",
    "set_numba",
    "set_tf32",
    "set_workers",
    "tf32",
    "usable_cores",
    "workers",
]


def __dir__() -> list[str]:
    return __all__
