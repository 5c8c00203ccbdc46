"""Crossentropy after a softmax on CuPy: one launch gives values and softmax, one the gradient.

    p = exp(logits - max(logits)) / sum(exp(logits - max(logits)))
    values = -sum(y * log(cut(p)))                  cut(p) = min(max(p, low), high)
    d values / d logits = p * sum(kept) - kept      kept = y where p was not cut, else 0

By logits alone nothing is cut, and log(p) is ``logits - max(logits) - log(sum(exp(...)))``. A block
of threads does a row. Numbers of classes stand for rows of 0 and 1; one that is no class, and the
class to be ignored, for a row of 0, whose value and gradient are 0.
"""

import math

from lamina import config
from lamina.kernels.launching import (
    MOST_BLOCKS,
    by_row,
    contiguous,
    fused,
    integer_type_of,
    type_of,
)

CUT = """
__device__ T cut(T p, double low, double high) {
    return p < T(low) ? T(low) : p > T(high) ? T(high) : p;
}
"""
FORWARD = (
    CUT
    + """
extern "C" __global__ void forward(
    const T* logits, const L* y, long long columns, long long ignored, double low, double high,
    double keep, double more, T* values, T* p
) {
    const long long row = blockIdx.x;
    const T* z = logits + row * columns;
    T* share = p + row * columns;
    T top = z[0];
    for (long long j = threadIdx.x; j < columns; j += BLOCK) top = z[j] > top ? z[j] : top;
    top = largest(top);
    T sum = 0;
    for (long long j = threadIdx.x; j < columns; j += BLOCK) {
        share[j] = exp(z[j] - top);
        sum += share[j];
    }
    sum = total(sum);
    const T log_sum = log(sum);
    T value = 0;
    for (long long j = threadIdx.x; j < columns; j += BLOCK) {
        share[j] /= sum;
#ifdef LOGITS
        const T log_p = z[j] - top - log_sum;
#else
        const T log_p = log(cut(share[j], low, high));
#endif
#ifdef CLASSES
        if (j == (long long) y[row] && j != ignored) value -= log_p;
#else
        value -= (y[row * columns + j] * T(keep) + T(more)) * log_p;
#endif
    }
    value = total(value);
    if (threadIdx.x == 0) values[row] = value;
}
"""
)
BACKWARD = (
    CUT
    + """
extern "C" __global__ void backward(
    const T* p, const L* y, const T* g, const T* g_p, long long g_step, long long columns,
    long long ignored, double low, double high, double keep, double more, T* d
) {
    const long long row = blockIdx.x;
    const T* share = p + row * columns;
    T* slope = d + row * columns;
#ifdef VALUES
    const T grown = g[row * g_step];
#ifdef CLASSES
    const long long label = y[row];
    const bool counts = label >= 0 && label < columns && label != ignored;
    const T kept = counts && share[label] == cut(share[label], low, high) ? grown : T(0);
#else
    const L* target = y + row * columns;
    T kept = 0;
    for (long long j = threadIdx.x; j < columns; j += BLOCK)
        if (share[j] == cut(share[j], low, high)) kept += target[j] * T(keep) + T(more);
    kept = total(kept);
#endif
#endif
#ifdef SHARES
    const T* g_share = g_p + row * columns;
    T level = 0;
    for (long long j = threadIdx.x; j < columns; j += BLOCK) level += g_share[j] * share[j];
    level = total(level);
#endif
    for (long long j = threadIdx.x; j < columns; j += BLOCK) {
        T found = 0;
#ifdef VALUES
#ifdef CLASSES
        if (counts) found = kept * (share[j] - T(j == label));
#else
        const T own = share[j] == cut(share[j], low, high) ? target[j] * T(keep) + T(more) : T(0);
        found = grown * (share[j] * kept - own);
#endif
#endif
#ifdef SHARES
        found += (g_share[j] - level) * share[j];
#endif
        slope[j] = found;
    }
}
"""
)
NO_CLASS = -1


def _crossentropy(xp, y_true, logits, *, from_logits, smoothing=0.0, ignored=None):
    """(values, softmax, the pullback of both to the logits), or None for what is not served.

    Args:
        y_true: class numbers, one a row, or rows of the dtype of the logits.
        from_logits: whether logarithms are exact and not of a softmax that was cut.
        smoothing: moves rows by this share towards 1 / classes.
        ignored: a class whose rows do not count, or None.
    """
    columns = logits.shape[-1] if logits.ndim else 0
    rows = math.prod(logits.shape[:-1])
    kind = type_of(logits)
    classes = y_true.shape != logits.shape
    label = integer_type_of(y_true) if classes else type_of(y_true, logits)
    if kind not in ("float", "double") or label is None or not rows * columns > 0:
        return None
    if rows > MOST_BLOCKS or (classes and math.prod(y_true.shape) != rows):
        return None
    head = [f"typedef {kind} T;", f"typedef {label} L;"]
    head += ["#define CLASSES"] * classes + ["#define LOGITS"] * from_logits
    # of a softmax nothing is below -1 or above 2
    low, high = (-1.0, 2.0) if from_logits else (config.epsilon(), 1.0 - config.epsilon())
    numbers = (columns, NO_CLASS if ignored is None else ignored, low, high, 1.0 - smoothing,
               smoothing / columns)  # fmt: skip
    y = contiguous(y_true)
    values = xp.empty(logits.shape[:-1], dtype=logits.dtype, device=logits.device)
    p = xp.empty(logits.shape, dtype=logits.dtype, device=logits.device)
    given = (contiguous(logits), y, *numbers, values, p)
    by_row("softmax_crossentropy", FORWARD, "forward", rows, columns, given, *head)

    def pullback(g, g_p):
        if g is None and g_p is None:
            return xp.zeros_like(p)
        step, more = 0, []
        if g is not None:
            g = xp.reshape(g, (rows,))
            step = g.strides[0] // g.dtype.itemsize  # 0 where one number is spread over all
            more.append("#define VALUES")
        if g_p is not None:
            g_p = contiguous(g_p)
            more.append("#define SHARES")
        d = xp.empty(p.shape, dtype=p.dtype, device=p.device)
        given = (p, y, p if g is None else g, p if g_p is None else g_p, step, *numbers, d)
        by_row(
            "softmax_crossentropy_back", BACKWARD, "backward", rows, columns, given, *head, *more
        )
        return d

    return values, p, pullback


@fused("softmax_crossentropy")
def softmax_crossentropy(xp, needs, y_true, logits):
    """Values and softmax."""
    if needs[0] or y_true.shape not in (logits.shape, logits.shape[:-1]):
        return NotImplemented
    done = _crossentropy(xp, y_true, logits, from_logits=False)
    if done is None:
        return NotImplemented
    values, p, back = done
    return (values, p), lambda gradients: (None, back(*gradients))


def _last(axis, x):
    return axis in (-1, x.ndim - 1)


@fused("categorical_crossentropy")
def categorical_crossentropy(xp, needs, y_true, y_pred, *, from_logits, label_smoothing, axis):
    """By logits; of probabilities the portable kernel takes care."""
    if needs[0] or not from_logits or not _last(axis, y_pred) or y_true.shape != y_pred.shape:
        return NotImplemented
    done = _crossentropy(xp, y_true, y_pred, from_logits=True, smoothing=label_smoothing)
    if done is None:
        return NotImplemented
    values, _, back = done
    return values, lambda g: (None, back(g, None))


@fused("sparse_categorical_crossentropy")
def sparse_categorical_crossentropy(xp, needs, y_true, y_pred, *, from_logits, ignore_class, axis):
    """By logits; of probabilities the portable kernel or the definition takes care."""
    rows = y_pred.shape[:-1]
    if needs[0] or not from_logits or not _last(axis, y_pred) or y_true.shape == y_pred.shape:
        return NotImplemented
    if y_true.shape not in (rows, (*rows, 1)):
        return NotImplemented
    done = _crossentropy(xp, y_true, y_pred, from_logits=True, ignored=ignore_class)
    if done is None:
        return NotImplemented
    values, _, back = done
    return values, lambda g: (None, back(g, None))
