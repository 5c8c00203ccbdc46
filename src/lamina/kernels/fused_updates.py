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
from lamina.kernels.launching import OPTIONS
from lamina.kernels.tracing import PREAMBLE, SPACE, Symbol, Trace

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
    trace = Trace(literal=False)
    p, g, *state = (Symbol(trace, name) for name in ("p", "g", *_named("a", slots)))
    told = iter(_named("d", 2))
    step, rate = (
        Symbol(trace, next(told)) if backend.is_array(value) else value for value in (step, rate)
    )
    try:
        new, new_state = rule.advance(rule.update, SPACE, p, g, tuple(state), step, rate, decays)
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
