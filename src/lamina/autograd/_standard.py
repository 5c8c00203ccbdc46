"""The names of the array API standard that have no row in the table of derivatives.

A function that is given a row leaves these lists, but for those of the extensions, which are whole.
"""

# Functions whose result does not change, or only in jumps, with their arguments: no gradient.
CONSTANT = frozenset(
    """__array_namespace_info__ all any arange argmax argmin argsort bitwise_and bitwise_invert
    bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor can_cast ceil count_nonzero
    empty empty_like equal eye finfo floor floor_divide from_dlpack full greater greater_equal
    iinfo isdtype isfinite isin isinf isnan less less_equal linspace logical_and logical_not
    logical_or logical_xor nextafter nonzero not_equal ones ones_like result_type round
    searchsorted sign signbit trunc zeros zeros_like broadcast_shapes linalg.matrix_rank""".split()
)

# What else the standard has: functions without a rule yet, dtypes, constants, extensions.
OTHERS = frozenset(
    """asarray
    bool complex64 complex128 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64
    e inf nan newaxis pi fft linalg""".split()
)
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
    "dot": "matmul",
    "mod": "remainder",
    "power": "pow",
    "norm": "linalg.vector_norm",
    "linalg.norm": "linalg.vector_norm",
    "linalg.dot": "linalg.vecdot",
    "transpose": "permute_dims",
}
