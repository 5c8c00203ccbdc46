"""Crossentropy on CuPy, after a softmax or with it: one launch for values, one for the gradient.

    p = exp(logits - max(logits)) / sum(exp(logits - max(logits)))
    values = -sum(y * log(cut(p)))                  cut(p) = min(max(p, low), high)
    d values / d logits = p * sum(kept) - kept      kept = y where p was not cut, else 0

By logits alone nothing is cut, and log(p) is ``logits - max(logits) - log(sum(exp(...)))``. Of
outputs that are a softmax already, p is their share in their sum, and

    d values / d outputs = (sum(kept) - kept / p) / sum(outputs)

A block of threads does a row. Numbers of classes stand for rows of 0 and 1; one that is no class,
and the class to be ignored, for a row of 0, whose value and gradient are 0.
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
FORWARD = """
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
BACKWARD = """
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
OF_SHARES = """
extern "C" __global__ void forward(
    const T* x, const L* y, long long columns, long long ignored, double low, double high,
    double keep, double more, T* values, T* sums
) {
    const long long row = blockIdx.x, start = row * columns;
    T sum = 0, value = 0;
    for (long long j = threadIdx.x; j < columns; j += BLOCK) sum += x[start + j];
    sum = total(sum);
    for (long long j = threadIdx.x; j < columns; j += BLOCK) {
#ifdef CLASSES
        if (j == (long long) y[row] && j != ignored)
            value -= log(cut(x[start + j] / sum, low, high));
#else
        value -= (y[start + j] * T(keep) + T(more)) * log(cut(x[start + j] / sum, low, high));
#endif
    }
    value = total(value);
    if (threadIdx.x == 0) {
        values[row] = value;
        sums[row] = sum;
    }
}
"""
BACK_TO_SHARES = """
extern "C" __global__ void backward(
    const T* x, const L* y, const T* sums, const T* g, long long g_step, long long columns,
    long long ignored, double low, double high, double keep, double more, T* d
) {
    const long long row = blockIdx.x, start = row * columns;
    const T sum = sums[row], grown = g[row * g_step] / sum;
#ifdef CLASSES
    const long long label = y[row];
    const bool counts = label >= 0 && label < columns && label != ignored;
    const T p = counts ? x[start + label] / sum : T(1);
    const T kept = p == cut(p, low, high) ? grown : T(0);
    for (long long j = threadIdx.x; j < columns; j += BLOCK)
        d[start + j] = counts ? kept - (j == label ? kept / cut(p, low, high) : T(0)) : T(0);
#else
    T whole = 0;
    for (long long j = threadIdx.x; j < columns; j += BLOCK) {
        const T p = x[start + j] / sum;
        if (p == cut(p, low, high)) whole += y[start + j] * T(keep) + T(more);
    }
    whole = total(whole);
    for (long long j = threadIdx.x; j < columns; j += BLOCK) {
        const T p = x[start + j] / sum;
        const T kept = p == cut(p, low, high) ? (y[start + j] * T(keep) + T(more)) / p : T(0);
        d[start + j] = grown * (whole - kept);
    }
#endif
}
"""
NO_CLASS = -1


class _Rows:
    """What targets and outputs are as rows, or nothing (``served`` is False).

    Attributes:
        head: lines before the text of a kernel.
        numbers: what kernels are told: columns, ignored, low, high, keep, more.
    """

    def __init__(self, y_true, outputs, cuts, smoothing, ignored):
        self.columns = outputs.shape[-1] if outputs.ndim else 0
        self.rows = math.prod(outputs.shape[:-1])
        kind = type_of(outputs)
        classes = y_true.shape != outputs.shape
        label = integer_type_of(y_true) if classes else type_of(y_true, outputs)
        self.served = (
            kind in ("float", "double") and label is not None and 0 < self.rows <= MOST_BLOCKS
            and self.columns > 0 and (not classes or math.prod(y_true.shape) == self.rows)
        )  # fmt: skip
        self.head = [f"typedef {kind} T;", f"typedef {label} L;", *["#define CLASSES"] * classes]
        low, high = float(config.epsilon()), 1.0 - float(config.epsilon())
        if not cuts:  # no probability is below -1 or above 2
            low, high = -1.0, 2.0
        ignored, smoothing = int(NO_CLASS if ignored is None else ignored), float(smoothing)
        more = smoothing / max(1, self.columns)
        self.numbers = (self.columns, ignored, low, high, 1.0 - smoothing, more)

    def launch(self, name, text, function, args, *head):
        by_row(name, CUT + text, function, self.rows, self.columns, args, *self.head, *head)

    def seed(self, xp, g):
        """The gradients of the rows, and the step from each to the next: 0 where all are one."""
        g = xp.reshape(g, (self.rows,))
        return g, g.strides[0] // g.dtype.itemsize


def _crossentropy(xp, y_true, logits, *, from_logits, smoothing=0.0, ignored=None):
    """(values, softmax, the pullback of both to the logits), or None for what is not served.

    Args:
        y_true: class numbers, one a row, or rows of the dtype of the logits.
        from_logits: whether logarithms are exact and not of a softmax that was cut.
        smoothing: moves rows by this share towards 1 / classes.
        ignored: a class whose rows do not count, or None.
    """
    made = _Rows(y_true, logits, not from_logits, smoothing, ignored)
    if not made.served:
        return None
    y, exact = contiguous(y_true), ["#define LOGITS"] * from_logits
    values = xp.empty(logits.shape[:-1], dtype=logits.dtype, device=logits.device)
    p = xp.empty(logits.shape, dtype=logits.dtype, device=logits.device)
    given = (contiguous(logits), y, *made.numbers, values, p)
    made.launch("softmax_crossentropy", FORWARD, "forward", given, *exact)

    def pullback(g, g_p):
        if g is None and g_p is None:
            return xp.zeros_like(p)
        step, more = 0, []
        if g is not None:
            g, step = made.seed(xp, g)
            more.append("#define VALUES")
        if g_p is not None:
            g_p = contiguous(g_p)
            more.append("#define SHARES")
        d = xp.empty(p.shape, dtype=p.dtype, device=p.device)
        given = (p, y, p if g is None else g, p if g_p is None else g_p, step, *made.numbers, d)
        made.launch("softmax_crossentropy_back", BACKWARD, "backward", given, *more)
        return d

    return values, p, pullback


def _of_shares(xp, y_true, outputs, *, smoothing=0.0, ignored=None):
    """(values, the pullback to the outputs), which are probabilities; or None."""
    made = _Rows(y_true, outputs, True, smoothing, ignored)
    if not made.served:
        return None
    y, x = contiguous(y_true), contiguous(outputs)
    values, sums = (xp.empty(x.shape[:-1], dtype=x.dtype, device=x.device) for _ in range(2))
    made.launch("crossentropy", OF_SHARES, "forward", (x, y, *made.numbers, values, sums))

    def pullback(g):
        d = xp.empty(x.shape, dtype=x.dtype, device=x.device)
        given = (x, y, sums, *made.seed(xp, g), *made.numbers, d)
        made.launch("crossentropy_back", BACK_TO_SHARES, "backward", given)
        return d

    return values, pullback


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


def _loss(xp, y_true, y_pred, from_logits, **how):
    """A loss's answer as kernels give it."""
    if from_logits:
        done = _crossentropy(xp, y_true, y_pred, from_logits=True, **how)
        if done is None:
            return NotImplemented
        values, _, back = done
        return values, lambda g: (None, back(g, None))
    done = _of_shares(xp, y_true, y_pred, **how)
    if done is None:
        return NotImplemented
    values, back = done
    return values, lambda g: (None, back(g))


@fused("categorical_crossentropy")
def categorical_crossentropy(xp, needs, y_true, y_pred, *, from_logits, label_smoothing, axis):
    """Targets as rows."""
    if needs[0] or axis not in (-1, y_pred.ndim - 1) or y_true.shape != y_pred.shape:
        return NotImplemented
    return _loss(xp, y_true, y_pred, from_logits, smoothing=label_smoothing)


@fused("sparse_categorical_crossentropy")
def sparse_categorical_crossentropy(xp, needs, y_true, y_pred, *, from_logits, ignore_class, axis):
    """Targets as numbers of classes."""
    rows = y_pred.shape[:-1]
    if needs[0] or axis not in (-1, y_pred.ndim - 1) or y_true.shape not in (rows, (*rows, 1)):
        return NotImplemented
    if y_true.shape == y_pred.shape:  # a single class
        return NotImplemented
    return _loss(xp, y_true, y_pred, from_logits, ignored=ignore_class)
