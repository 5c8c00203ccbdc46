"""Softmax and its logarithm over the last axis on CuPy: one launch forward and one back.

With z = x - max(x), and g the gradient of the result:

    softmax        out = exp(z) / sum(exp(z))        dx = (g - sum(g * out)) * out
    log_softmax    out = z - log(sum(exp(z)))        dx = g - exp(out) * sum(g)

A block of threads does a row.
"""

import math

from lamina.kernels.launching import MOST_BLOCKS, by_row, contiguous, fused, type_of

FORWARD = """
extern "C" __global__ void forward(const T* x, long long columns, T* out) {
    const long long start = blockIdx.x * columns;
    T top = x[start], sum = 0;
    for (long long j = threadIdx.x; j < columns; j += BLOCK)
        top = x[start + j] > top ? x[start + j] : top;
    top = largest(top);
    for (long long j = threadIdx.x; j < columns; j += BLOCK) sum += exp(x[start + j] - top);
    sum = total(sum);
#ifdef LOG
    const T low = log(sum);
    for (long long j = threadIdx.x; j < columns; j += BLOCK)
        out[start + j] = x[start + j] - top - low;
#else
    for (long long j = threadIdx.x; j < columns; j += BLOCK)
        out[start + j] = exp(x[start + j] - top) / sum;
#endif
}
"""
BACKWARD = """
extern "C" __global__ void backward(const T* out, const T* g, long long columns, T* d) {
    const long long start = blockIdx.x * columns;
    T sum = 0;
#ifdef LOG
    for (long long j = threadIdx.x; j < columns; j += BLOCK) sum += g[start + j];
    sum = total(sum);
    for (long long j = threadIdx.x; j < columns; j += BLOCK)
        d[start + j] = g[start + j] - exp(out[start + j]) * sum;
#else
    for (long long j = threadIdx.x; j < columns; j += BLOCK) sum += g[start + j] * out[start + j];
    sum = total(sum);
    for (long long j = threadIdx.x; j < columns; j += BLOCK)
        d[start + j] = (g[start + j] - sum) * out[start + j];
#endif
}
"""


def _register(name, *defined):
    @fused(name)
    def softmax(xp, needs, x, *, axis):
        kind = type_of(x)
        columns, rows = (x.shape[-1], math.prod(x.shape[:-1])) if x.ndim else (0, 0)
        if kind not in ("float", "double") or axis not in (-1, x.ndim - 1):
            return NotImplemented
        if not 0 < rows <= MOST_BLOCKS or not columns:
            return NotImplemented
        head = (f"typedef {kind} T;", *defined)
        out = xp.empty(x.shape, dtype=x.dtype, device=x.device)
        by_row(name, FORWARD, "forward", rows, columns, (contiguous(x), columns, out), *head)

        def pullback(g):
            d = xp.empty(x.shape, dtype=x.dtype, device=x.device)
            args = (out, contiguous(g), columns, d)
            by_row(f"{name}_back", BACKWARD, "backward", rows, columns, args, *head)
            return (d,)

        return out, pullback

    return softmax


softmax = _register("softmax")
log_softmax = _register("log_softmax", "#define LOG")
