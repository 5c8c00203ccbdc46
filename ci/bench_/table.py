"""The record in words: times with ratios, the bars with yes or no, and what changed."""

import statistics

from works import ALL, LARGE, flops

# (what is held against what, the most it may be). A step is one of a training loop: ours is `fit`,
# with its shuffling, checks and figures; PyTorch's is written out, with nothing around it.
# `train_on_batch`, which checks every batch anew, is measured beside it.
BARS = (
    ("xor step / PyTorch", ("times", "xor", "lamina fit"), ("times", "xor", "torch step"), 1 / 4),
    (
        "64-64-10 step / PyTorch",
        ("times", "64-64-10", "lamina fit"),
        ("times", "64-64-10", "torch step"),
        1 / 3,
    ),
    ("xor fit / Keras fit", ("times", "xor", "lamina fit"), ("times", "xor", "keras fit"), 1 / 3),
    (
        "64-64-10 fit / Keras fit",
        ("times", "64-64-10", "lamina fit"),
        ("times", "64-64-10", "keras fit"),
        1 / 3,
    ),
    (
        "mlp step / PyTorch",
        ("times", "mlp", "lamina fit"),
        ("times", "mlp", "torch step"),
        1 / 1.2,
    ),
    (
        "mlp fit / scikit-learn",
        ("times", "mlp", "lamina fit"),
        ("times", "mlp", "sklearn fit"),
        1 / 2,
    ),
    ("cnn step / PyTorch", ("times", "cnn", "lamina fit"), ("times", "cnn", "torch step"), 1 / 1.3),
    (
        "cnn step / PyTorch in our process",
        ("times", "cnn", "lamina fit"),
        ("times", "cnn", "torch inside"),
        1.0,
    ),
    *[
        (
            f"cnn step / {library}",
            ("times", "cnn", "lamina fit"),
            ("times", "cnn", f"{library} step"),
            1 / 3,
        )
        for library in ("dezero", "pydynet", "smallpebble")
    ],
    *[
        (f"{work} step / PyTorch", ("times", work, ours), ("times", work, "torch step"), 1.0)
        for work, ours in (
            ("separable", "lamina fit"),
            ("signal", "lamina fit"),
            ("cnn use 1", "lamina batch"),
            ("cnn use 256", "lamina batch"),
        )
    ],
    (
        "resnet20 step / PyTorch",
        ("times", "resnet20", "lamina fit"),
        ("times", "resnet20", "torch step"),
        1.3,
    ),
    *[
        (
            f"gradient of {function} / autograd",
            ("gradients", function, "lamina"),
            ("gradients", function, "autograd"),
            1 / 2,
        )
        for function in ("20 operations", "784-512-10", "1000 steps")
    ],
    (
        "second derivative / first",
        ("gradients", "784-512-10, second", "lamina"),
        ("gradients", "784-512-10", "lamina"),
        4.0,
    ),
    ("call beyond NumPy's, us", ("gradients", "call, no gradient", "lamina"), None, 1.5),
    ("call on a tape beyond NumPy's, us", ("gradients", "call, on a tape", "lamina"), None, 4.0),
    ("cnn peak memory / PyTorch", ("memory", "lamina cnn"), ("memory", "torch cnn"), 1.5),
    ("mlp peak memory / PyTorch", ("memory", "lamina"), ("memory", "torch"), 1.0),
    ("import / import numpy", ("import", "lamina"), ("import", "numpy"), 1.3),
    ("digits to 97 %, seconds", ("digits",), None, 5.0),
    ("memory gained, kB", ("leak",), None, 1024.0),
)
# The same with numba.
BARS += tuple(
    (f"{name}, with numba", (*ours[:-1], f"{ours[-1]} numba"), theirs, most)
    for name, ours, theirs, most in BARS
    if ours[0] == "memory" or (ours[0] == "times" and ours[1] in LARGE)
)
# On a GPU, with TF32 off and on; medians.
GPU_BARS = tuple(
    (
        f"{work} step / PyTorch{tf32}",
        ("times", work, f"lamina fit{tf32}"),
        ("times", work, f"torch step{tf32}"),
        most,
    )
    for work, most in (
        ("xor", 1 / 2), ("64-64-10", 1 / 2), ("mlp", 1.0), ("mlp 4096", 1.0), ("cnn", 2.5),
    )
    for tf32 in ("", " tf32")
)  # fmt: skip
# What a work does besides matrix products, which is what keeps it from their limit on NumPy alone.
HELD = {
    "cnn": "a first layer of one channel (products 9 long run at half the rate), pooling, and "
    "threads that wait for the interpreter",
    "separable": "depthwise sums, which are no matrix products, and take as long as those",
    "signal": "relu and its gradient, the passes over memory between the products",
    "resnet20": "two threads that wait for the interpreter and for one another at batch "
    "normalizations (half the batch alone takes two thirds of the time), and copying",
    "cnn use 1": "the interpreter between some forty calls of NumPy's, on one thread; a quarter of "
    "the time are products",
    "cnn use 256": "the first layer, pooling",
}
# How much more a step may cost than twice as much when the batch or the parameters double.
LINEAR = 1.15


def best(record: dict, path: tuple, of=min) -> float | None:
    """The least of the runs at a path of keys; None where there are none, but a reason.

    Or what else ``of`` says: on a GPU, whose clock goes up and down, medians are held against
    medians.
    """
    found = record
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, list):
        return of(found) if found else None
    return found if isinstance(found, int | float) else None


def counts(record: dict):
    """Which of some runs counts: the least on NumPy, else the median."""
    return min if record["backend"] == "numpy" else statistics.median


def times(record: dict) -> list[str]:
    """Milliseconds per step, best and median, and how many times ours each library takes."""
    of = counts(record)
    lines = [f"{'ms per step':<12}{'':<18}{'best':>10}{'median':>10}{'/ ours':>9}"]
    for work, rows in record["times"].items():
        for name, runs in rows.items():
            head = f"{work:<12}{name:<18}"
            if not isinstance(runs, list):
                lines.append(f"{head}  {runs}")
                continue
            own = "lamina fit" if "fit" in name else "lamina batch"
            own += " tf32" if "tf32" in name else ""
            ours = best(record, ("times", work, own), of)
            ratio = f"{of(runs) / ours:9.2f}" if ours else ""
            lines.append(f"{head}{min(runs):10.4f}{statistics.median(runs):10.4f}{ratio}")
    return lines


def shares(record: dict) -> list[str]:
    """Of each work what share of its least time is its products at the rate of large ones."""
    rate, numpy = best(record, ("gflops",)), record["backend"] == "numpy"
    if not rate:
        return ["", f"{'of the limit':<12}{record.get('gflops')}"]
    size = "1024 x 1024" if numpy else "large matrices, without TF32"
    lines = ["", f"{'of the limit':<12}{rate:6.0f} GFLOP/s in products of {size}"]
    for work, rows in record["times"].items():
        own = [name for name in rows if name in ("lamina batch", "lamina fit")]
        found = [ms for ms in (best(record, ("times", work, name)) for name in own) if ms]
        if found:
            share = flops(ALL[work]) / (rate * 1e6 * min(found))
            why = HELD.get(work, "") if numpy else ""
            lines.append(f"{work:<12}{share:6.0%}  {why}".rstrip())
    return lines


def others(record: dict) -> list[str]:
    """Memory, import, digits and growth."""
    lines = [""]
    for title, key, unit, scale in (
        ("peak memory", "memory", "MiB", 1),
        ("import", "import", "ms", 1e3),
    ):
        for name, runs in record[key].items():
            told = f"{min(runs) * scale:10.1f} {unit}" if isinstance(runs, list) else f"  {runs}"
            lines.append(f"{title:<12}{name:<18}{told}")
    for title, key, unit in (("digits 97 %", "digits", "s"), ("leak", "leak", "kB")):
        value = best(record, (key,))
        told = f"{value:10.2f} {unit}" if value is not None else f"  {record[key]}"
        lines.append(f"{title:<12}{'lamina':<18}{told}")
    lines += gradients(record["gradients"]) + kernels(record.get("fused", {}))
    growth = record["growth"]
    if not isinstance(growth, dict):
        return [*lines, f"growth      {growth}"]
    lines += ["", f"{'mlp step of':<14}{'parameters':>12}{'ms':>10}{'/ the row above':>17}"]
    before = None
    for name, row in growth.items():
        same = before is not None and before[0].split()[0] == name.split()[0]
        ratio = f"{row['ms'] / before[1]:17.2f}" if same else ""
        lines.append(f"{name:<14}{row['parameters']:>12,}{row['ms']:10.3f}{ratio}")
        before = name, row["ms"]
    return lines


def gradients(found) -> list[str]:
    """Microseconds of the gradients of plain functions, and of calls beyond NumPy's own."""
    if not isinstance(found, dict):
        return [f"gradients   {found}"]
    lines = ["", f"{'gradient of':<24}{'lamina, us':>12}{'autograd, us':>14}{'/ ours':>9}"]
    for function, runs in found.items():
        if function == "missing":
            lines += [f"{library}: {reason}" for library, reason in runs.items()]
            continue
        ours, theirs = (min(runs.get(library, [None])) for library in ("lamina", "autograd"))
        told = "".join(
            f"{value:{width}.2f}" if value is not None else " " * width
            for value, width in ((ours, 12), (theirs, 14))
        )
        lines.append(f"{function:<24}{told}" + (f"{theirs / ours:9.2f}" if ours and theirs else ""))
    return lines


def kernels(found) -> list[str]:
    """Milliseconds of ops with a kernel of the library's own, and without; nothing where none."""
    if not isinstance(found, dict):
        return [f"kernels     {found}"]
    if not found:
        return []
    lines = ["", f"{'forward and back, ms':<40}{'kernel':>10}{'without':>10}{'/ kernel':>10}"]
    for name, row in found.items():
        ours, theirs = row["kernel"], row["without"]
        lines.append(f"{name:<40}{ours:10.4f}{theirs:10.4f}{theirs / ours:10.2f}")
    return lines


def bars(record: dict) -> list[tuple[str, float | None, float, bool | None]]:
    """(name, measured, the most it may be, whether it is met; None where it was not measured)."""
    found, of = [], counts(record)
    library = record["backend"].partition(":")[0]
    for name, ours, theirs, most in {"numpy": BARS, "cupy": GPU_BARS}.get(library, ()):
        value, other = best(record, ours, of), best(record, theirs, of) if theirs else 1.0
        value = value / other if value is not None and other else None
        found.append((name, value, most, None if value is None else value <= most))
    if library != "numpy":
        return found
    growth = record["growth"]
    for kind, work in (("batch", "samples"), ("width", "parameters")):
        value = linearity(growth, kind) if isinstance(growth, dict) else None
        met = None if value is None else value <= LINEAR
        found.append((f"cost of twice the {work} / 2", value, LINEAR, met))
    return found


def linearity(growth: dict, kind: str) -> float:
    """How the cost grew over how the batch (or the parameters) grew, at the largest two sizes."""
    small, large = [name for name in growth if name.startswith(kind)][-2:]
    if kind == "batch":
        work = int(large.split()[1]) / int(small.split()[1])
    else:
        work = growth[large]["parameters"] / growth[small]["parameters"]
    return growth[large]["ms"] / growth[small]["ms"] / work


def verdict(record: dict) -> list[str]:
    """The bars as lines."""
    judged = bars(record)
    lines = ["", f"{'bar':<46}{'measured':>10}{'at most':>10}  met"] if judged else []
    for name, value, most, met in judged:
        told = "not measured" if met is None else ("yes" if met else "NO")
        shown = "-" if value is None else f"{value:.3f}"
        lines.append(f"{name:<46}{shown:>10}{most:>10.3f}  {told}")
    return lines


def changes(record: dict, last: dict) -> list[str]:
    """Best times now over the last recorded ones, ours and the others' (which tell the machine)."""
    lines = ["", f"{'now / last recorded':<20}{last.get('date', ''):>20}"]
    for work, rows in record["times"].items():
        for name in rows:
            now, then = best(record, ("times", work, name)), best(last, ("times", work, name))
            if now and then:
                lines.append(f"{work:<12}{name:<18}{now / then:10.2f}")
    return lines
