"""Kernels that are text, on CuPy: how they are registered, compiled once, and launched.

A fused kernel reads what it needs once and writes its result once, in one launch; array by array
the same mathematics would be a launch and a pass over memory for each operation. What a kernel
declines, by returning NotImplemented, the op's portable kernel does, or its definition.
"""

import functools
import importlib

from lamina.autograd import _debug
from lamina.backend import calls
from lamina.kernels.tracing import PREAMBLE, SPACE, Symbol, Trace
from lamina.ops._op import KERNELS, kernel

OPTIONS = ("--fmad=false",)
"""To the compiler: a product and a sum are not made one, since the definition rounds both."""

TRACED = (AttributeError, NotImplementedError, TypeError)
"""What is raised where symbols cannot do what arrays can."""

_TYPES = {"float16": "float16", "float32": "float", "float64": "double"}


def fused(name):
    """Register a function as the kernel of the op ``name`` on CuPy."""

    def register(fast):
        @functools.wraps(fast)
        def serve(xp, needs, *arrays, **options):
            # while debugging, every operation is to be looked at by itself
            done = NotImplemented if _debug.enabled else fast(xp, needs, *arrays, **options)
            portable = KERNELS[name].get("portable")
            if done is NotImplemented and portable is not None:
                return portable(xp, needs, *arrays, **options)
            return done

        kernel(name, "cupy")(serve)
        return fast

    return register


def type_of(*arrays) -> str | None:
    """What C++ calls the dtype that the arrays share; None where a kernel has none for it."""
    kinds = {str(array.dtype) for array in arrays}
    return _TYPES.get(kinds.pop()) if len(kinds) == 1 else None


def written(function, *names) -> str:
    """``y = function(SPACE, name=..., ...)``, element by element, as text.

    Raises:
        TRACED: where it is not to be written.
    """
    trace = Trace()
    out = function(SPACE, **{name: Symbol(trace, name) for name in names})
    return "\n".join([*trace.lines, f"y = {trace.operand(out)};"])


def elementwise(name, text, numbers=(), **arrays):
    """Launch a text from `written`: a new array in the shape that the arrays broadcast to.

    Args:
        name: by which the launch is counted.
        text: of ``y`` and of the names of arrays and numbers.
        numbers: pairs (name, number), for those that change from launch to launch.
        arrays: of the same dtype, of any layout. Half precision is computed in float32 and rounded
            once, at the end.
    """
    calls.launched(name)
    half = type_of(*arrays.values()) == "float16"
    values = [number for _, number in numbers]
    names = tuple(name for name, _ in numbers)
    return _elementwise(text, tuple(arrays), names, half)(*arrays.values(), *values)


@functools.lru_cache(maxsize=512)
def _elementwise(text, arrays, numbers, half):
    """The kernel of a text; compiled when it is called first, and kept on disk by CuPy."""
    body = [
        f"typedef {'float' if half else 'E'} T;",
        *(f"const T {name} = static_cast<T>({name}_);" for name in arrays + numbers),
        "T y;",
        text,
        "y_ = static_cast<E>(y);",
    ]
    inputs = [f"E {name}_" for name in arrays] + [f"float64 {name}_" for name in numbers]
    cupy = importlib.import_module("cupy")
    return cupy.ElementwiseKernel(
        ", ".join(inputs), "E y_", "\n".join(body), "lamina_elementwise",
        options=OPTIONS, preamble=PREAMBLE,
    )  # fmt: skip


REDUCTIONS = """
__device__ T total(T value) {
    __shared__ T parts[BLOCK];
    __syncthreads();  // what was there before has been read by all
    parts[threadIdx.x] = value;
    for (unsigned half = BLOCK / 2; half >= WIDTH; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
    }
    __syncthreads();
    return parts[threadIdx.x % WIDTH];
}
__device__ T largest(T value) {
    __shared__ T parts[BLOCK];
    __syncthreads();
    parts[threadIdx.x] = value;
    for (unsigned half = BLOCK / 2; half >= WIDTH; half /= 2) {
        __syncthreads();
        const unsigned other = threadIdx.x + half;
        if (threadIdx.x < half && parts[other] > parts[threadIdx.x])
            parts[threadIdx.x] = parts[other];
    }
    __syncthreads();
    return parts[threadIdx.x % WIDTH];
}
"""
"""Sum and maximum of the values of a block's threads, in an order that is always the same.

The ``BLOCK`` threads stand in rows of ``WIDTH``, both powers of 2; each is told the result of its
column, which is that of all threads where ``WIDTH`` is 1. All threads must call them, and nothing
counts on any of them running in step.
"""

MOST_BLOCKS = 2**31 - 1
_INTEGERS = {
    "int8": "signed char", "int16": "short", "int32": "int", "int64": "long long",
    "uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned int",
    "uint64": "unsigned long long",
}  # fmt: skip


def integer_type_of(array) -> str | None:
    """What C++ calls the dtype of an array of integers; None for others."""
    return _INTEGERS.get(str(array.dtype))


def by_row(name, text, function, rows, columns, args, *head):
    """Launch a kernel in which every block of threads does one row of a matrix.

    Args:
        name: by which the launch is counted.
        text, function: C++ and the function in it, which reads ``blockIdx.x`` for the row; its
            ``BLOCK`` threads go over the columns in turn.
        args: C-contiguous arrays, and Python's own ints and floats, which are ``long long`` and
            ``double`` there. (A number of another type would be read as these all the same.)
        head: lines before the text: types, and what is defined.
    """
    threads = next((n for n in (32, 64, 128) if n >= columns), 256)
    calls.launched(name)
    kernel = raw(text, function, *head, f"#define BLOCK {threads}", "#define WIDTH 1")
    kernel((rows,), (threads,), args)


@functools.lru_cache(maxsize=512)
def raw(text, function, *head):
    """The kernel ``function`` of a text after `REDUCTIONS`, compiled as those of `elementwise`."""
    cupy = importlib.import_module("cupy")
    return cupy.RawKernel("\n".join([*head, REDUCTIONS, text]), function)


def contiguous(array):
    """The array itself where it lies row after row without gaps, else a copy that does."""
    return importlib.import_module("cupy").ascontiguousarray(array)


COMPILED = [_elementwise, raw]
"""Where kernels are kept once they are made."""
