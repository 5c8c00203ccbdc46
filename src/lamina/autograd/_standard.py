"""The names of the array API standard that have no row in the table of derivatives.

A function that is given a row leaves ``OTHERS``.
"""

# Functions whose result does not change, or only in jumps, with their arguments: no gradient.
CONSTANT = frozenset(
    """__array_namespace_info__ all any arange argmax argmin argsort bitwise_and bitwise_invert
    bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor can_cast ceil count_nonzero
    empty empty_like equal eye finfo floor floor_divide from_dlpack full greater greater_equal
    iinfo isdtype isfinite isin isinf isnan less less_equal linspace logical_and logical_not
    logical_or logical_xor nextafter nonzero not_equal ones ones_like result_type round
    searchsorted sign signbit trunc unique_all unique_counts unique_inverse unique_values zeros
    zeros_like broadcast_shapes""".split()
)

# What else the standard has: functions without a rule yet, dtypes, constants, extensions.
OTHERS = frozenset(
    """asarray conj copysign cumulative_prod imag meshgrid real repeat sort
    bool complex64 complex128 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64
    e inf nan newaxis pi fft linalg""".split()
)
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
    "transpose": "permute_dims",
}
