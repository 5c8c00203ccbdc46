"""The names of the array API standard that have no row in the table of derivatives.

A function that is given a row leaves these lists, but for those of the extensions, which are whole.
"""

import math
from importlib import import_module

VERSION = "2025.12"
"""The version of the standard that ``lamina.xp`` is."""

KNOWN_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", VERSION)

# Functions whose result does not change, or only in jumps, with their arguments: no gradient.
CONSTANT = frozenset(
    """all any argmax argmin argsort bitwise_and bitwise_invert bitwise_left_shift bitwise_or
    bitwise_right_shift bitwise_xor ceil count_nonzero empty_like equal floor floor_divide greater
    greater_equal isfinite isin isinf isnan less less_equal logical_and logical_not logical_or
    logical_xor nextafter nonzero not_equal ones_like round searchsorted sign signbit trunc
    zeros_like linalg.matrix_rank""".split()
)

DTYPES = frozenset(
    """bool complex64 complex128 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32
    uint64""".split()
)
CONSTANTS = {"e": math.e, "inf": math.inf, "nan": math.nan, "newaxis": None, "pi": math.pi}
# The extensions, whole.
EXTENSIONS = {
    "fft": frozenset(
        """fft fftfreq fftn fftshift hfft ifft ifftn ifftshift ihfft irfft irfftn rfft rfftfreq
        rfftn""".split()
    ),
    "linalg": frozenset(
        """cholesky cross det diagonal eig eigh eigvals eigvalsh inv matmul matrix_norm matrix_power
        matrix_rank matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot
        vector_norm""".split()
    ),
}
# Names of extensions for functions of the standard itself.
ALIASES = {f"linalg.{n}": n for n in ("matmul", "matrix_transpose", "tensordot", "vecdot")}
# Half-precision dtypes are not the standard's, but some backends have them.
HALVES = frozenset(("float16", "bfloat16"))

# What libraries also call functions of the standard, where the names are not alike.
ELSEWHERE = {
    "absolute": "abs",
    "amax": "max",
    "amin": "min",
    "array": "asarray",
    "concatenate": "concat",
    "cumprod": "cumulative_prod",
    "cumsum": "cumulative_sum",
    "dot": "matmul",
    "mod": "remainder",
    "power": "pow",
    "norm": "linalg.vector_norm",
    "linalg.norm": "linalg.vector_norm",
    "linalg.dot": "linalg.vecdot",
    "ravel": "reshape",
    "swapaxes": "permute_dims",
    "transpose": "permute_dims",
}


def elsewhere(name: str) -> str | None:
    """Where a function is that the standard has under another name, or lamina beside it."""
    found = ELSEWHERE.get(name)
    if found is None:  # only to word an error: this room needs nothing of that one
        found = f"lamina.ops.{name}" if name in import_module("lamina.ops").__all__ else None
    return found


SIGNATURES = """
    __array_namespace_info__()
    all(x, /, *, axis=None, keepdims=False)
    any(x, /, *, axis=None, keepdims=False)
    arange(start, /, stop=None, step=1, *, dtype=None, device=None)
    argmax(x, /, *, axis=None, keepdims=False)
    argmin(x, /, *, axis=None, keepdims=False)
    argsort(x, /, *, axis=-1, descending=False, stable=True)
    asarray(obj, /, *, dtype=None, device=None, copy=None)
    bitwise_and(x1, x2, /)
    bitwise_invert(x, /)
    bitwise_left_shift(x1, x2, /)
    bitwise_or(x1, x2, /)
    bitwise_right_shift(x1, x2, /)
    bitwise_xor(x1, x2, /)
    broadcast_arrays(*arrays)
    broadcast_shapes(*shapes)
    can_cast(from_, to, /)
    ceil(x, /)
    count_nonzero(x, /, *, axis=None, keepdims=False)
    diff(x, /, *, axis=-1, n=1, prepend=None, append=None)
    empty(shape, *, dtype=None, device=None)
    empty_like(x, /, *, dtype=None, device=None)
    equal(x1, x2, /)
    eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None)
    finfo(type, /)
    floor(x, /)
    floor_divide(x1, x2, /)
    from_dlpack(x, /, *, device=None, copy=None)
    full(shape, fill_value, *, dtype=None, device=None)
    full_like(x, /, fill_value, *, dtype=None, device=None)
    greater(x1, x2, /)
    greater_equal(x1, x2, /)
    iinfo(type, /)
    isdtype(dtype, kind)
    isfinite(x, /)
    isin(x1, x2, /, *, invert=False)
    isinf(x, /)
    isnan(x, /)
    less(x1, x2, /)
    less_equal(x1, x2, /)
    linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True)
    logical_and(x1, x2, /)
    logical_not(x, /)
    logical_or(x1, x2, /)
    logical_xor(x1, x2, /)
    meshgrid(*arrays, indexing="xy")
    nextafter(x1, x2, /)
    nonzero(x, /)
    not_equal(x1, x2, /)
    ones(shape, *, dtype=None, device=None)
    ones_like(x, /, *, dtype=None, device=None)
    result_type(*arrays_and_dtypes)
    round(x, /)
    searchsorted(x1, x2, /, *, side="left", sorter=None)
    sign(x, /)
    signbit(x, /)
    trunc(x, /)
    unique_all(x, /)
    unique_counts(x, /)
    unique_inverse(x, /)
    unique_values(x, /)
    zeros(shape, *, dtype=None, device=None)
    zeros_like(x, /, *, dtype=None, device=None)
    linalg.matrix_norm(x, /, *, keepdims=False, ord="fro")
    linalg.matrix_power(x, n, /)
    linalg.matrix_rank(x, /, *, rtol=None)
    fft.fftfreq(n, /, *, d=1.0, dtype=None, device=None)
    fft.rfftfreq(n, /, *, d=1.0, dtype=None, device=None)
"""
"""The standard's signatures of what has no row; a row brings its own."""

SIGNATURES = {
    name: signature.removesuffix(")")
    for name, _, signature in (line.strip().partition("(") for line in SIGNATURES.split("\n"))
    if name
}
