"""Symbols in the place of arrays: what a function does to them becomes the text of a kernel.

`Symbol` stands for one element of an array, `SPACE` for the namespace. To lamina they are arrays of
one more library, called "symbols": ops run on them, by their portable kernels or definitions, and
so does the tape, which writes derivatives. Every operation adds a line in C++ to the `Trace` of its
operands, in which the type of numbers is ``T``. What an element alone cannot do (a sum, an index, a
condition in Python) raises TypeError or AttributeError, and whoever traced does without a kernel.
"""

import math

import numpy as np

from lamina.autograd import Tensor, sweep, vertex_of
from lamina.autograd._tape import recording
from lamina.backend import _backend
from lamina.ops.special import NATIVE_ERF

PREAMBLE = """
template<typename V> __device__ V larger(V a, V b) { return a > b || a != a ? a : b; }
template<typename V> __device__ V smaller(V a, V b) { return a < b || a != a ? a : b; }
"""
"""What texts rely on besides the mathematical functions of C++: both pass NaN on."""

_REAL, _BOOL = np.dtype("float32"), np.dtype("bool")  # REAL stands for T, whichever that is


class Trace:
    """What was done so far: one line for each operation, and the numbers it was done with.

    Args:
        literal: whether the text has the numbers in it; else they are its arguments c0, c1, ...
    """

    def __init__(self, literal=True):
        self.lines: list[str] = []
        self.numbers: list[float] = []
        self._literal = literal

    def operand(self, value) -> str:
        """A symbol, or a number, as the text names it."""
        if isinstance(value, Symbol):
            return value.name
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"not to be written into a kernel: {value!r}")
        if self._literal:
            if not math.isfinite(value):
                raise TypeError(f"not to be written into a kernel: {value!r}")
            return f"T({float(value)!r})"
        self.numbers.append(float(value))
        return f"c{len(self.numbers) - 1}"

    def done(self, text, *operands, dtype=_REAL) -> "Symbol":
        """The result of an operation, ``text`` with a place for each operand."""
        name = f"t{len(self.lines)}"
        kind = "bool" if dtype is _BOOL else "T"
        self.lines.append(f"const {kind} {name} = {text.format(*map(self.operand, operands))};")
        return Symbol(self, name, dtype)


def _done(text, *operands, dtype=_REAL):
    """The same, on the trace of whichever operand is a symbol."""
    for operand in operands:
        if isinstance(operand, Symbol):
            return operand.trace.done(text, *operands, dtype=dtype)
    raise TypeError("a kernel is written of symbols, and there is none among the operands")


def _operator(sign, dtype=_REAL):
    def operator(self, other, /):
        return _done(f"{{}} {sign} {{}}", self, other, dtype=dtype)

    def reflected(self, other, /):
        return _done(f"{{}} {sign} {{}}", other, self, dtype=dtype)

    return operator, reflected


def _in_place(sign):
    def operator(self, other, /):
        self.name = _done(f"{{}} {sign} {{}}", self, other).name
        return self

    return operator


class Symbol:
    """Stands for an element of an array: of real numbers, or the bool of a comparison."""

    __slots__ = ("dtype", "name", "trace")
    __hash__ = None
    shape, ndim, size, device = (1,), 1, 1, None

    def __init__(self, trace, name, dtype=_REAL):
        self.trace = trace
        self.name = name
        self.dtype = dtype

    __add__, __radd__ = _operator("+")
    __sub__, __rsub__ = _operator("-")
    __mul__, __rmul__ = _operator("*")
    __truediv__, __rtruediv__ = _operator("/")
    __iadd__, __isub__, __imul__, __itruediv__ = map(_in_place, "+-*/")
    __lt__, _ = _operator("<", _BOOL)
    __le__, _ = _operator("<=", _BOOL)
    __gt__, _ = _operator(">", _BOOL)
    __ge__, _ = _operator(">=", _BOOL)
    __eq__, _ = _operator("==", _BOOL)
    __ne__, _ = _operator("!=", _BOOL)
    __and__, _ = _operator("&&", _BOOL)
    __or__, _ = _operator("||", _BOOL)

    def __neg__(self):
        return _done("-{}", self)

    def __invert__(self):
        return _done("!{}", self, dtype=_BOOL)

    def __pow__(self, other, /):
        return _done("pow({}, {})", self, other)

    def __bool__(self):
        raise TypeError("a symbol has no value to decide by")


class _Space:
    """Stands for the namespace: the functions that a kernel can be written with."""

    __name__ = "symbols"
    float32, bool = _REAL, _BOOL

    def __init__(self):
        for name in (
            "acos acosh asin asinh atan atanh ceil cos cosh exp expm1 floor log log10 log1p log2 "
            "sin sinh sqrt tan tanh"
        ).split():
            setattr(self, name, _function(f"{name}({{}})"))
        self.abs = _function("fabs({})")
        self.erf = _function("erf({})")
        self.negative = _function("-{}")
        self.reciprocal = _function("T(1) / {}")
        self.sign = _function("{0} != {0} ? {0} : T(({0} > T(0)) - ({0} < T(0)))")
        self.square = _function("{0} * {0}")
        for name, sign in (("add", "+"), ("subtract", "-"), ("multiply", "*"), ("divide", "/")):
            setattr(self, name, _function(f"{{}} {sign} {{}}"))
        for name, sign in (
            ("equal", "=="), ("not_equal", "!="), ("less", "<"), ("less_equal", "<="),
            ("greater", ">"), ("greater_equal", ">="), ("logical_and", "&&"), ("logical_or", "||"),
        ):  # fmt: skip
            setattr(self, name, _function(f"{{}} {sign} {{}}", _BOOL))
        self.bitwise_and, self.bitwise_or = self.logical_and, self.logical_or
        self.logical_not = self.bitwise_invert = _function("!{}", _BOOL)
        self.isnan = _function("{0} != {0}", _BOOL)
        self.hypot = _function("hypot({}, {})")
        self.pow = _function("pow({}, {})")
        self.maximum = _function("larger({}, {})")
        self.minimum = _function("smaller({}, {})")
        self.logaddexp = _function(
            "{0} == {1} ? {0} + log(T(2)) : larger({0}, {1}) + log1p(exp(-fabs({0} - {1})))"
        )
        self.where = _function("{} ? {} : {}")

    def isdtype(self, dtype, kind):
        return np.isdtype(dtype, kind)

    def astype(self, x, dtype, /, *, copy=True, device=None):
        return x if x.dtype is dtype else _done("T({})", x)

    def clip(self, x, /, min=None, max=None):
        if min is not None:
            x = self.maximum(x, min)
        return x if max is None else self.minimum(x, max)

    def full_like(self, x, /, fill_value, *, dtype=None, device=None):
        return x.trace.done("{}", fill_value)

    def ones_like(self, x, /, *, dtype=None, device=None):
        return self.full_like(x, 1.0)

    def zeros_like(self, x, /, *, dtype=None, device=None):
        return self.full_like(x, 0.0)

    def reshape(self, x, /, shape, *, copy=None):
        """Itself: how arrays spread over one another is told where the kernel is called."""
        return x


def _function(text, dtype=_REAL):
    return lambda *operands: _done(text, *operands, dtype=dtype)


def derivative(function, g, x):
    """``g`` times the derivative of ``function`` at the symbol ``x``, as the tape writes it."""
    x = Tensor(x, requires_grad=True)
    with recording():
        out = function(x)
    return sweep([(out, g)])[vertex_of(x)]


SPACE = _Space()
_backend._namespaces[Symbol] = SPACE
_backend._names[SPACE] = "symbols"
NATIVE_ERF["symbols"] = SPACE.erf
