"""CUDA C++ without CUDA: CuPy's kernel classes, whose texts a host compiler makes into functions.

A launch runs block after block. Within a block the threads take turns, each from one barrier to the
next, once from the first to the last and once from the last to the first: where the two results
differ in a bit, threads raced. A barrier that some of a block's threads do not reach is an error,
and so is an argument of another type than its parameter, which CuPy would not notice.
"""

import ctypes
import functools
import pathlib
import re
import shutil
import subprocess
import tempfile

import numpy as np

COMPILER = shutil.which("g++")

_BINARY = "hypot pow"
_UNARY = """acos acosh asin asinh atan atanh ceil cos cosh erf exp expm1 fabs floor log log10 log1p
log2 sin sinh sqrt tan tanh"""
MATHEMATICS = "\n".join(
    [
        f"static inline {kind} {name}({kind} a{', ' + kind + ' b' if two else ''}) "
        f"{{ return __builtin_{name}{end}(a{', b' if two else ''}); }}"
        for names, two in ((_UNARY, False), (_BINARY, True))
        for name in names.split()
        for kind, end in (("float", "f"), ("double", ""))
    ]
)
HEAD = f"""
#define __device__
#define __global__
#define __restrict__
#define __shared__ static
#define INFINITY __builtin_inff()
typedef _Float16 float16;
{MATHEMATICS}
"""
BLOCKS = """
#include <setjmp.h>
#include <ucontext.h>
struct dim3 { unsigned x, y, z; };
static dim3 gridDim, blockDim, blockIdx, threadIdx;
static ucontext_t threads[1024];
static jmp_buf turns[1024], home;
static char stacks[1024][1 << 14];
static bool started[1024], finished[1024];
static unsigned running;
static void** arguments;
static void call();
static void __syncthreads() { if (!_setjmp(turns[running])) _longjmp(home, 1); }
static void lives() {
    for (;;) {
        call();
        finished[running] = true;
        __syncthreads();
    }
}
static void resume() {
    threadIdx = {running, 0, 0};
    if (_setjmp(home)) return;
    if (started[running]) _longjmp(turns[running], 1);
    started[running] = true;
    getcontext(&threads[running]);
    threads[running].uc_stack.ss_sp = stacks[running];
    threads[running].uc_stack.ss_size = sizeof stacks[running];
    makecontext(&threads[running], lives, 0);
    setcontext(&threads[running]);
}
extern "C" int launch(unsigned grid, unsigned block, void** given, int backwards) {
    arguments = given;
    gridDim = {grid, 1, 1};
    blockDim = {block, 1, 1};
    for (unsigned b = 0; b < grid; ++b) {
        blockIdx = {b, 0, 0};
        for (unsigned t = 0; t < block; ++t) finished[t] = false;
        for (unsigned over = 0; over < block;) {
            over = 0;
            for (unsigned k = 0; k < block; ++k) {
                running = backwards ? block - 1 - k : k;
                resume();
                over += finished[running];
            }
            if (over && over < block) return 1;
        }
    }
    return 0;
}
"""
_TYPES = {
    "bool": "bool", "float16": "float16", "float32": "float", "float64": "double",
    "int8": "signed char", "int16": "short", "int32": "int", "int64": "long long",
    "uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned int",
    "uint64": "unsigned long long",
}  # fmt: skip


@functools.cache
def compiled(source, optimized="-O0"):
    """The functions of a source, which is compiled once in a process."""
    with tempfile.TemporaryDirectory() as folder:
        text, made = pathlib.Path(folder, "kernel.cpp"), pathlib.Path(folder, "kernel.so")
        text.write_text(source)
        command = [
            COMPILER,
            "-O1",
            "-pipe",
            "-ffp-contract=off",
            "-shared",
            "-fPIC",
            "-w",
            "-o",
            made,
            text,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{done.stderr}\n{source}"
        return ctypes.CDLL(str(made))


class ElementwiseKernel:
    """CuPy's, for arrays of any dtype; ``wrap`` makes its arrays of NumPy's."""

    made: list = []  # all texts so far, as (parameters in, out, operation, preamble)

    def __init__(
        self, in_params, out_params, operation, name, options=(), preamble="", return_tuple=False
    ):
        self.made.append((in_params, out_params, operation, preamble))
        self._inputs = [part.split() for part in in_params.split(", ")]
        self._outputs = [part.split() for part in out_params.split(", ")]
        self._operation, self._preamble, self._tuple = operation, preamble, return_tuple

    def __call__(self, *args, size=None):
        wrap = next(type(a) for a in args if hasattr(a, "_values"))
        device = next(a.device for a in args if hasattr(a, "_values"))
        arrays = [a._values if hasattr(a, "_values") else a for a in args]
        known = {}
        for (*_, kind, _), array in zip(self._inputs, arrays, strict=True):
            if isinstance(array, np.ndarray):
                assert known.setdefault(kind, array.dtype) == array.dtype, "dtypes differ"
        whole = [
            a for a, p in zip(arrays, self._inputs, strict=True)
            if isinstance(a, np.ndarray) and p[0] != "raw"
        ]  # fmt: skip
        shape = (size,) if size is not None else np.broadcast_shapes(*(a.shape for a in whole))
        kinds = {
            kind: _TYPES[str(known.get(kind, kind))]
            for *_, kind, _ in self._inputs + self._outputs
        }  # fmt: skip
        lines, signature, values = [], [], []
        for (*raw, kind, name), array in zip(self._inputs, arrays, strict=True):
            if isinstance(array, np.ndarray):
                array = array if raw else np.broadcast_to(array, shape)
                values.append(np.ascontiguousarray(array))
                signature.append(f"const {kind}* {name}{'' if raw else '_in'}")
                if not raw:
                    lines.append(f"const {kind} {name} = {name}_in[i];")
            else:
                values.append(np.asarray([array], known.get(kind, kind)))
                signature.append(f"const {kind}* {name}_in")
                lines.append(f"const {kind} {name} = *{name}_in;")
        results = []
        for kind, name in self._outputs:
            results.append(np.empty(shape, known[kind]))
            signature.append(f"{kind}* {name}_out")
            lines.append(f"{kind}& {name} = {name}_out[i];")
        types = "".join(f"typedef {c} {name};\n" for name, c in kinds.items() if name != c)
        source = (
            f'{HEAD}{types}{self._preamble}extern "C" void run(long long size, '
            f"{', '.join(signature)}) {{\nfor (long long i = 0; i < size; ++i) {{\n"
            + "\n".join([*lines, self._operation, "}}\n"])
        )
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*values, *results)]
        compiled(source).run(ctypes.c_longlong(int(np.prod(shape, dtype=int))), *pointers)
        results = [wrap(result, device) for result in results]
        return tuple(results) if self._tuple or len(results) > 1 else results[0]


class RawKernel:
    """CuPy's, for grids and blocks of one axis."""

    made: list = []  # all texts so far

    def __init__(self, code, name, options=()):
        self.made.append(code)
        signature = re.search(rf'extern "C" __global__ void {name}\(([^)]*)\)', code)
        self._parameters = [part.strip().rpartition(" ")[0] for part in signature[1].split(",")]
        self._named = {name: kind for kind, name in re.findall(r"typedef (.+) (\w+);", code)}
        given = ", ".join(
            f"*({kind.removesuffix(' __restrict__')}*) arguments[{i}]"
            for i, kind in enumerate(self._parameters)
        )
        self._source = f"{HEAD}{BLOCKS}{code}\nstatic void call() {{ {name}({given}); }}\n"

    def __call__(self, grid, block, args):
        (grid,), (block,) = grid, block
        assert 0 < grid < 2**31 and 0 < block <= 1024
        values, arrays = [], []
        for kind, arg in zip(self._parameters, args, strict=True):
            if hasattr(arg, "_values"):
                array = arg._values
                told = kind.replace("const ", "").partition("*")[0].strip()
                told = self._named.get(told, told)
                assert told == _TYPES[str(array.dtype)], f"{kind} got an array of {array.dtype}"
                assert array.flags.c_contiguous or array.ndim == 1  # which may have a step
                arrays.append(array)
                values.append(ctypes.c_void_p(array.ctypes.data))
            else:
                told = {int: "long long", float: "double"}[type(arg)]
                assert told == kind.replace("const ", ""), f"{kind} got {arg!r}"
                values.append({int: ctypes.c_longlong, float: ctypes.c_double}[type(arg)](arg))
        pointers = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        before = [array.copy() for array in arrays]
        results = []
        for backwards in (0, 1):
            for array, value in zip(arrays, before, strict=True):
                if array.flags.writeable:
                    array[...] = value
            failed = compiled(self._source, "-O1").launch(grid, block, pointers, backwards)
            assert not failed, "some threads of a block do not reach a barrier"
            results.append([array.tobytes() for array in arrays])
        assert results[0] == results[1], "threads race: their order changes the result"
