"""Update rules of optimizers for one array library, where measurement asks for them.

Each computes exactly what ``update`` of the optimizer says, which is the rule's definition; the
tests hold the two equal to the last bit. NumPy's write into the parameter and the state, with
``work`` for what is in between, so that a block passes through the cache once.
"""

import functools
from math import sqrt

import numpy as np

from lamina.kernels import compiling
from lamina.kernels.constants import number

RULES: dict[tuple[str, str], object] = {}
"""Kernels by the module that defines the rule and the name of the array library."""


def rule(module: str, library: str):
    """Register ``kernel(rule, work, xp, p, g, state, step, rate) -> (p, state)``.

    ``rule`` is the optimizer, ``work`` a vector at least as long as ``p`` (None where storage has
    none to lend). The gradient ``g`` is not written to.
    """

    def register(kernel):
        RULES[f"lamina.optimizers.{module}", library] = kernel
        return kernel

    return register


@rule("sgd", "numpy")
def sgd(rule, work, xp, p, g, state, step, rate):
    """``lamina.optimizers.SGD`` in place."""
    work = work[: p.size]
    np.multiply(g, rate, out=work)
    if not state:
        np.subtract(p, work, out=p)
        return p, state
    (v,) = state
    np.multiply(v, rule.momentum, out=v)
    np.subtract(v, work, out=v)
    if rule.nesterov:
        np.subtract(p, work, out=p)
        np.multiply(v, rule.momentum, out=work)
        np.add(p, work, out=p)
    else:
        np.add(p, v, out=p)
    return p, state


@rule("adam", "numpy")
def adam(rule, work, xp, p, g, state, step, rate):
    """``lamina.optimizers.Adam`` in place."""
    work = work[: p.size]
    m, v = state[:2]
    share_1, share_2, epsilon = _numbers(rule.beta_1, rule.beta_2, rule.epsilon, p.dtype)
    alpha = rate * sqrt(1 - rule.beta_2**step) / (1 - rule.beta_1**step)
    vectors = None if rule.amsgrad else compiling.flat(p, g, m, v)
    if vectors:
        numbers = map(p.dtype.type, (share_1, share_2, epsilon, alpha))
        compiling.loops().adam(*vectors, *numbers)
        return p, state
    np.subtract(g, m, work)
    np.multiply(work, share_1, work)
    np.add(m, work, m)
    np.multiply(g, g, work)
    np.subtract(work, v, work)
    np.multiply(work, share_2, work)
    np.add(v, work, v)
    if rule.amsgrad:
        v = np.maximum(state[2], v, out=state[2])
    np.sqrt(v, work)
    np.add(work, epsilon, work)
    np.divide(m, work, work)
    np.multiply(work, alpha, work)
    np.subtract(p, work, p)
    return p, state


@functools.lru_cache(maxsize=64)
def _numbers(beta_1, beta_2, epsilon, dtype):
    return number(1 - beta_1, dtype), number(1 - beta_2, dtype), number(epsilon, dtype)
