"""Normalization on CuPy, in few launches whose sums are in an order that is always the same.

By sample (layer, root mean square): one launch forward, with a block of threads to a row, one back
for x and one for gamma and beta. By channel (batch): one launch for the moments, one that applies
them; back, one for the sums and one for x. Long columns are summed in chunks, which takes one more
launch to put together. With w = (x - mean) / s, h = g * gamma and n numbers to a mean:

    dx = (h - mean(h) - w * mean(h * w)) / s        dgamma = sum(g * w)        dbeta = sum(g)

where root mean square has neither mean nor mean(h).
"""

import functools
import math

from lamina.autograd import differentiable
from lamina.backend import calls
from lamina.kernels.launching import (
    MOST_BLOCKS,
    by_row,
    contiguous,
    elementwise,
    fused,
    raw,
    type_of,
    written,
)
from lamina.kernels.tracing import derivative
from lamina.ops import normalization
from lamina.ops.normalization import axes_of

FORWARD = """
extern "C" __global__ void forward(
    const T* x, const T* gamma, const T* beta, long long columns, double epsilon, T* means,
    T* inverses, T* out
) {
    const long long row = blockIdx.x, start = row * columns;
    T mean = 0, square = 0;
#ifdef CENTRE
    for (long long j = threadIdx.x; j < columns; j += BLOCK) mean += x[start + j];
    mean = total(mean) / T(columns);
#endif
    for (long long j = threadIdx.x; j < columns; j += BLOCK) {
        const T centred = x[start + j] - mean;
        square += centred * centred;
    }
    const T inverse = T(1) / sqrt(total(square) / T(columns) + T(epsilon));
    for (long long j = threadIdx.x; j < columns; j += BLOCK) {
        T y = (x[start + j] - mean) * inverse;
#ifdef GAMMA
        y *= gamma[j];
#endif
#ifdef BETA
        y += beta[j];
#endif
        out[start + j] = y;
    }
    if (threadIdx.x == 0) {
        means[row] = mean;
        inverses[row] = inverse;
    }
}
"""
BACKWARD = """
#ifdef GAMMA
#define GROWN(j) (g[start + j] * gamma[j])
#else
#define GROWN(j) g[start + j]
#endif

extern "C" __global__ void backward(
    const T* x, const T* g, const T* gamma, const T* means, const T* inverses, long long columns,
    T* d
) {
    const long long row = blockIdx.x, start = row * columns;
    const T mean = means[row], inverse = inverses[row];
    T level = 0, slope = 0;
    for (long long j = threadIdx.x; j < columns; j += BLOCK) {
#ifdef CENTRE
        level += GROWN(j);
#endif
        slope += GROWN(j) * ((x[start + j] - mean) * inverse);
    }
    level = total(level) / T(columns);
    slope = total(slope) / T(columns);
    for (long long j = threadIdx.x; j < columns; j += BLOCK)
        d[start + j] = (GROWN(j) - level - (x[start + j] - mean) * inverse * slope) * inverse;
}
"""

PLACES = """
#ifdef LAST
#define AT(row) ((row) * columns + column)
#else
#define AT(row) (((row) / inner * columns + column) * inner + (row) % inner)
#endif
#define PLACES \\
    const long long tiles = (columns + WIDTH - 1) / WIDTH, chunk = blockIdx.x / tiles; \\
    const long long column = blockIdx.x % tiles * WIDTH + threadIdx.x % WIDTH; \\
    const long long lane = threadIdx.x / WIDTH, lanes = BLOCK / WIDTH; \\
    const long long start = chunk * each, after = start + each < rows ? start + each : rows; \\
    const long long stop = column < columns ? after : 0, count = after - start;
"""
"""Of a matrix whose column j is what has j along the axis of the channels, ``inner`` numbers coming
after that axis. A block does a chunk of ``each`` rows of ``WIDTH`` columns."""

COLUMNS = {}
COLUMNS["moments"] = """
extern "C" __global__ void moments(
    const T* x, long long rows, long long columns, long long inner, long long each, double epsilon,
    T* means, T* squares, T* inverses
) {
    PLACES
    T mean = 0, square = 0;
    for (long long row = start + lane; row < stop; row += lanes) mean += x[AT(row)];
    mean = total(mean) / T(count);
    for (long long row = start + lane; row < stop; row += lanes) {
        const T centred = x[AT(row)] - mean;
        square += centred * centred;
    }
    square = total(square);
    if (lane == 0 && column < columns) {
        means[chunk * columns + column] = mean;
#ifdef WHOLE
        squares[column] = square / T(count);
        inverses[column] = T(1) / sqrt(square / T(count) + T(epsilon));
#else
        squares[chunk * columns + column] = square;
#endif
    }
}
"""
COLUMNS["merge"] = """
extern "C" __global__ void merge(
    const T* means, const T* squares, long long rows, long long columns, long long chunks,
    long long each, double epsilon, T* mean, T* variance, T* inverses
) {
    const long long column = (long long) blockIdx.x * BLOCK + threadIdx.x;
    if (column >= columns) return;
    T n = 0, middle = 0, square = 0;
    for (long long chunk = 0; chunk < chunks; ++chunk) {
        const T count = T(chunk + 1 < chunks ? each : rows - chunk * each);
        const T apart = means[chunk * columns + column] - middle;
        square += squares[chunk * columns + column] + apart * apart * (n * count / (n + count));
        middle += apart * (count / (n + count));
        n += count;
    }
    mean[column] = middle;
    variance[column] = square / n;
    inverses[column] = T(1) / sqrt(square / n + T(epsilon));
}
"""
COLUMNS["sums"] = """
extern "C" __global__ void sums(
    const T* x, const T* g, const T* means, const T* inverses, long long rows, long long columns,
    long long inner, long long each, T* found
) {
    PLACES
    T sum = 0, dot = 0;
    for (long long row = start + lane; row < stop; row += lanes) {
#ifdef BY_ROW
        const long long which = row;
#else
        const long long which = column;
#endif
        const T grown = g[AT(row)];
        sum += grown;
        dot += grown * ((x[AT(row)] - means[which]) * inverses[which]);
    }
    sum = total(sum);
    dot = total(dot);
    if (lane == 0 && column < columns) {
        found[chunk * 2 * columns + column] = sum;
        found[(chunk * 2 + 1) * columns + column] = dot;
    }
}
"""
"""What they do with columns: "merge" puts together what is known of the chunks, by Chan, Golub and
LeVeque, "Algorithms for computing the sample variance", 1983, equation 2.1."""

THREADS = 256
_SHORT = 16  # rows that a thread goes over at least, before there is a second chunk
_BLOCKS = 512  # from which on a device has enough to do


class _Columns:
    """x by channel: how its columns are shared out among blocks of threads."""

    def __init__(self, shape, axis, kind):
        self.columns, self.inner = shape[axis], math.prod(shape[axis + 1 :])
        self.rows = math.prod(shape) // self.columns
        last = self.inner == 1
        # neighbouring threads read neighbouring numbers, along a row or down a column
        self.width = next((n for n in (1, 2, 4, 8, 16) if n >= self.columns), 32) if last else 1
        self.tiles = -(-self.columns // self.width)
        most = -(-self.rows // (THREADS // self.width * _SHORT))
        self.each = -(-self.rows // max(1, min(most, _BLOCKS // self.tiles)))
        self.chunks = -(-self.rows // self.each)
        self._head = [f"typedef {kind} T;", f"#define BLOCK {THREADS}"]
        self._head += [f"#define WIDTH {self.width}", *["#define LAST"] * last]

    def launch(self, name, function, args, *head, blocks=None):
        calls.launched(name)
        blocks = self.tiles * self.chunks if blocks is None else blocks
        raw(PLACES + COLUMNS[function], function, *self._head, *head)((blocks,), (THREADS,), args)

    def sums(self, xp, x, g, means, inverses, *head):
        """(sum(g), sum(g * w)) of each column."""
        found = _new(xp, (self.chunks, 2, self.columns), x)
        sizes = (self.rows, self.columns, self.inner, self.each)
        args = (x, contiguous(g), means, inverses, *sizes, found)
        self.launch("normalization_sums", "sums", args, *head)
        found = xp.sum(found, axis=0) if self.chunks > 1 else found[0, ...]
        return found[0, :], found[1, :]


def _new(xp, shape, like):
    return xp.empty(shape, dtype=like.dtype, device=like.device)


def _served(x, *others):
    """The type in C++, or None for what the portable kernels do: halves, mixtures, nothing."""
    kind = type_of(x, *[a for a in others if a is not None])
    return kind if kind in ("float", "double") and math.prod(x.shape) else None


def _by_rows(xp, needs, x, gamma, beta, *, axis, epsilon, centre):
    """(out, pullback to x, gamma and beta), or None for what is not served."""
    over = axes_of(axis, x.ndim)
    kind, first = _served(x, gamma, beta), over[0]
    rows, columns = math.prod(x.shape[:first]), math.prod(x.shape[first:])
    if kind is None or over != tuple(range(first, x.ndim)) or rows > MOST_BLOCKS:
        return None
    head = [f"typedef {kind} T;", *["#define CENTRE"] * centre]
    head += ["#define GAMMA"] * (gamma is not None) + ["#define BETA"] * (beta is not None)
    x = contiguous(x)
    factor = x if gamma is None else contiguous(gamma)  # x stands for what is not read
    shift = x if beta is None else contiguous(beta)
    means, inverses, out = _new(xp, (rows,), x), _new(xp, (rows,), x), _new(xp, x.shape, x)
    args = (x, factor, shift, columns, float(epsilon), means, inverses, out)
    by_row("normalization", FORWARD, "forward", rows, columns, args, *head)

    def pullback(g):
        g, dx, d_gamma, d_beta = contiguous(g), None, None, None
        if needs[0]:
            dx = _new(xp, x.shape, x)
            args = (x, g, factor, means, inverses, columns, dx)
            by_row("normalization_back", BACKWARD, "backward", rows, columns, args, *head)
        if needs[1] or needs[2]:
            lanes = _Columns((rows, columns), 1, kind)
            d_beta, d_gamma = lanes.sums(xp, x, g, means, inverses, "#define BY_ROW")
            d_gamma = xp.reshape(d_gamma, gamma.shape) if needs[1] else None
            d_beta = xp.reshape(d_beta, beta.shape) if needs[2] else None
        return dx, d_gamma, d_beta

    return out, pullback


@fused("layer_normalization")
def layer_normalization(xp, needs, x, gamma, beta, *, axis, epsilon):
    """Over the last axes."""
    done = _by_rows(xp, needs, x, gamma, beta, axis=axis, epsilon=epsilon, centre=True)
    return NotImplemented if done is None else done


@fused("rms_normalization")
def rms_normalization(xp, needs, x, gamma, *, axis, epsilon):
    """Over the last axes."""
    needs = (*needs, False)
    done = _by_rows(xp, needs, x, gamma, None, axis=axis, epsilon=epsilon, centre=False)
    if done is None:
        return NotImplemented
    out, back = done
    return out, lambda g: back(g)[:2]


@functools.lru_cache(maxsize=64)
def _standardizing(names, epsilon):
    """(forward, back): texts of the op's definition by channel, and of its derivative by x."""

    def forward(xp, x, mean, variance, **scale):
        define = normalization.standardize.definition
        return define(xp, x, mean, variance, **scale, axis=-1, epsilon=epsilon)

    def back(xp, g, x, mean, variance, **scale):
        space = differentiable(xp)
        return derivative(lambda x: forward(space, x, mean, variance, **scale), g, x)

    return written(forward, *names), written(back, "g", *names)


def _along(xp, x, axis, **vectors):
    """Those that are there, each number where it spreads over its channel of x."""
    shape = tuple(-1 if i == axis else 1 for i in range(x.ndim))
    return {name: xp.reshape(a, shape) for name, a in vectors.items() if a is not None}


@fused("standardize")
def standardize(xp, needs, x, mean, variance, gamma, beta, *, axis, epsilon):
    """One launch forward and one back, for x alone: a network in use, or one that is frozen."""
    if any(needs[1:]) or _served(x, mean, variance, gamma, beta) is None:
        return NotImplemented
    given = {"mean": mean, "variance": variance, "gamma": gamma, "beta": beta}
    given = {"x": x, **_along(xp, x, axis % x.ndim, **given)}
    forward, back = _standardizing(tuple(given), float(epsilon))
    out = elementwise("standardize", forward, **given)
    return out, lambda g: (elementwise("standardize_back", back, g=g, **given), *(None,) * 4)


def _of_batch(xp, g, x, mean, inverse, level, slope, count, gamma=None):
    """The gradient of x, with level = sum(g) and slope = sum(g * w)."""
    d = (g - level / count - (x - mean) * inverse * (slope / count)) * inverse
    return d if gamma is None else d * gamma


@fused("batch_normalization")
def batch_normalization(xp, needs, x, gamma, beta, *, axis, epsilon, exchange):
    """Of a whole batch; shards of one exchange their sums on NumPy alone."""
    kind = _served(x, gamma, beta)
    if exchange is not None or kind is None:
        return NotImplemented
    axis = axis % x.ndim
    lanes = _Columns(x.shape, axis, kind)
    x = contiguous(x)
    mean, variance, inverse = (_new(xp, (lanes.columns,), x) for _ in range(3))
    epsilon = float(epsilon)
    sizes = (lanes.rows, lanes.columns, lanes.inner, lanes.each, epsilon)
    if lanes.chunks == 1:
        args = (x, *sizes, mean, variance, inverse)
        lanes.launch("batch_moments", "moments", args, "#define WHOLE")
    else:
        means, squares = (_new(xp, (lanes.chunks, lanes.columns), x) for _ in range(2))
        lanes.launch("batch_moments", "moments", (x, *sizes, means, squares, inverse))
        args = (means, squares, lanes.rows, lanes.columns, lanes.chunks, lanes.each, epsilon,
                mean, variance, inverse)  # fmt: skip
        blocks = -(-lanes.columns // THREADS)
        lanes.launch("batch_moments", "merge", args, blocks=blocks)
    along = functools.partial(_along, xp, x, axis)
    given = {"x": x, **along(mean=mean, variance=variance, gamma=gamma, beta=beta)}
    out = elementwise("standardize", _standardizing(tuple(given), epsilon)[0], **given)

    def pullback(gradients):
        g, g_mean, g_variance = gradients
        d = d_gamma = d_beta = None
        if g is not None:
            d_beta, d_gamma = lanes.sums(xp, x, g, mean, inverse)
            if needs[0]:
                given = along(mean=mean, inverse=inverse, level=d_beta, slope=d_gamma, gamma=gamma)
                text = _back_of_batch(tuple(given))
                numbers = (("count", float(lanes.rows)),)
                d = elementwise("batch_back", text, numbers, g=g, x=x, **given)
        if needs[0]:  # gradients of the moments themselves are hardly ever asked for
            d = xp.zeros_like(x) if d is None else d
            if g_mean is not None:
                d = d + along(g=g_mean)["g"] / lanes.rows
            if g_variance is not None:
                told = along(g=g_variance, mean=mean)
                d = d + (x - told["mean"]) * (told["g"] * (2.0 / lanes.rows))
        return d, d_gamma if needs[1] else None, d_beta if needs[2] else None

    return (out, mean, variance), pullback


@functools.lru_cache(maxsize=8)
def _back_of_batch(names):
    return written(_of_batch, "g", "x", *names, "count")
