"""An optimizer's whole elementwise step as one kernel of CuPy, written by the rule itself.

``Optimizer.advance`` (clip, decay, the rule, averages) is run once a step on symbols in the place
of the vectors. What it does to them becomes the text of a kernel, in which every operation is
rounded as it is alone; the Python numbers among it (rates, powers of betas) become the kernel's
arguments, so that the text, and what is compiled of it, stays the same from step to step. A rule
that does what symbols cannot do is stepped by its own array operations.
"""

import functools
import importlib

from lamina import backend
from lamina.backend import calls

OPTIONS = ("--fmad=false",)
"""To the compiler: a product and a sum are not made one, since the definition rounds both."""

PREAMBLE = """
template<typename V> __device__ V larger(V a, V b) { return a > b || a != a ? a : b; }
template<typename V> __device__ V smaller(V a, V b) { return a < b || a != a ? a : b; }
"""

_DTYPES = ("float16", "float32", "float64")


def fused(rule, xp, p, g, state: tuple, step: int, rate: float, decays: bool):
    """What ``rule.advance(rule.update, ...)`` gives, in one launch where the rule can be written.

    Args:
        rule: the optimizer.
        xp: the namespace, CuPy's.
        p, g, state, step, rate, decays: as ``Optimizer.advance`` has them. ``step`` and ``rate``
            may be arrays without axes, where only the device knows them.
    """
    written, told = None, [value for value in (step, rate) if backend.is_array(value)]
    if str(p.dtype).rpartition(".")[2] in _DTYPES and {a.dtype for a in (g, *told)} == {p.dtype}:
        written = _written(rule, len(state), step, rate, decays)
    if written is None:
        return rule.advance(rule.update, xp, p, g, state, step, rate, decays)
    text, numbers = written
    arrays = (p, g, *state, *told)
    calls.launched("update")
    new, *new_state = _kernel(text, len(state), len(told), len(numbers))(*arrays, *numbers)
    return new, tuple(new_state)


FUSED = {"cupy": fused}
"""By the name of the array library, what takes the place of ``Optimizer.advance``."""


def _written(rule, slots, step, rate, decays):
    """(text of the kernel, the numbers it takes), or None where the rule cannot be written."""
    trace = _Trace()
    p, g, *state = (_Symbol(trace, name) for name in ("p", "g", *_named("a", slots)))
    told = iter(_named("d", 2))
    step, rate = (
        _Symbol(trace, next(told)) if backend.is_array(value) else value for value in (step, rate)
    )
    try:
        new, new_state = rule.advance(
            rule.update, _Space(trace), p, g, tuple(state), step, rate, decays
        )
        if len(new_state) != slots:
            return None
        for name, value in zip(("q", *_named("b", slots)), (new, *new_state), strict=True):
            trace.lines.append(f"{name} = {trace.operand(value)};")
    except (AttributeError, TypeError):  # the definition will tell what is wrong, if anything is
        return None
    return "\n".join(trace.lines), trace.numbers


def _named(letter, count) -> list[str]:
    return [f"{letter}{k}" for k in range(count)]


@functools.lru_cache(maxsize=256)
def _kernel(text, slots, told, numbers):
    """The kernel of a text; compiled when it is called first, and kept on disk by CuPy."""
    inputs = _declared("p", "g", *_named("a", slots), *_named("d", told), *_named("c", numbers))
    outputs = _declared("q", *_named("b", slots))
    cupy = importlib.import_module("cupy")
    return cupy.ElementwiseKernel(
        inputs, outputs, text, "lamina_update", options=OPTIONS, preamble=PREAMBLE,
        return_tuple=True,
    )  # fmt: skip


def _declared(*names) -> str:
    return ", ".join(f"T {name}" for name in names)


class _Trace:
    """What was done so far: one line for each operation, and the numbers it was done with."""

    def __init__(self):
        self.lines: list[str] = []
        self.numbers: list[float] = []

    def operand(self, value) -> str:
        """A symbol, or a number, as the text names it."""
        if isinstance(value, _Symbol):
            return value.name
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"not to be written into a kernel: {value!r}")
        self.numbers.append(float(value))
        return f"c{len(self.numbers) - 1}"

    def done(self, text, *operands) -> "_Symbol":
        """The result of an operation, ``text`` with a place for each operand."""
        name = f"t{len(self.lines)}"
        self.lines.append(f"const T {name} = {text.format(*map(self.operand, operands))};")
        return _Symbol(self, name)


def _operator(sign):
    def operator(self, other, /):
        return self._trace.done(f"{{}} {sign} {{}}", self, other)

    def reflected(self, other, /):
        return self._trace.done(f"{{}} {sign} {{}}", other, self)

    return operator, reflected


class _Symbol:
    """Stands for a vector."""

    __slots__ = ("_trace", "name")
    __hash__ = None

    def __init__(self, trace, name):
        self._trace = trace
        self.name = name

    __add__, __radd__ = _operator("+")
    __sub__, __rsub__ = _operator("-")
    __mul__, __rmul__ = _operator("*")
    __truediv__, __rtruediv__ = _operator("/")

    def __neg__(self):
        return self._trace.done("-{}", self)

    def __eq__(self, other):
        raise TypeError("a symbol has no value to compare")

    def __bool__(self):
        raise TypeError("a symbol has no value to decide by")


class _Space:
    """Stands for the namespace: the functions that a kernel can be written with."""

    def __init__(self, trace):
        self._done = trace.done

    def abs(self, x, /):
        return self._done("fabs({})", x)

    def clip(self, x, /, min=None, max=None):
        if min is not None:
            x = self._done("larger({}, T({}))", x, min)
        return x if max is None else self._done("smaller({}, T({}))", x, max)

    def exp(self, x, /):
        return self._done("exp({})", x)

    def expm1(self, x, /):
        return self._done("expm1({})", x)

    def maximum(self, x1, x2, /):
        return self._done("larger(T({}), T({}))", x1, x2)

    def minimum(self, x1, x2, /):
        return self._done("smaller(T({}), T({}))", x1, x2)

    def sqrt(self, x, /):
        return self._done("sqrt({})", x)

    def square(self, x, /):
        return self._done("{0} * {0}", x)
