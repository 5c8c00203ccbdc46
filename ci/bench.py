"""lamina beside PyTorch, Keras and scikit-learn, in turn on the same work: ``bash ci/bench``.

To add a work, see ``bench_/works.py``; a library, ``bench_/peers.py``; a bar, ``bench_/table.py``.
"""

import argparse
import datetime
import functools
import json
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "bench_"))

import gpu_table  # noqa: E402
import on_gpu  # noqa: E402
import picture  # noqa: E402
import table  # noqa: E402
from turns import (  # noqa: E402
    Deadline,
    Missing,
    Worker,
    build_together,
    gradients,
    import_seconds,
    in_turn,
    probe,
)
from works import ALL, GPU_WORKS, GRID, LARGE, WORKS  # noqa: E402

RESULTS = HERE / "results"

NUMBA = {"LAMINA_NUMBA": "1"}
"""The environment of rows in which lamina has numba compile its loops; of others `turns` has it."""
# Row of the table: (library, how it trains, which works; None for all of them)
ROWS = {
    "lamina batch": ("lamina", "step", None),
    "lamina fit": ("lamina", "fit", None),
    "lamina batch numba": ("lamina", "step", LARGE),
    "lamina fit numba": ("lamina", "fit", LARGE),
    "torch step": ("torch", "step", None),
    "torch inside": ("torch_inside", "step", None),
    "keras fit": ("keras", "fit", tuple(name for name in WORKS if name != "resnet20")),
    "sklearn fit": ("sklearn", "fit", ("mlp",)),
    "dezero step": ("dezero", "step", ("cnn",)),
    "pydynet step": ("pydynet", "step", ("cnn",)),
    "smallpebble step": ("smallpebble", "step", ("cnn",)),
}
PARTS = ("first", "numpy", "times")
"""What is measured on a GPU: the longest last, which gets the minutes that are left."""


def main() -> int:
    options = arguments()
    gpu = options.backend != "numpy"
    deadline = Deadline(options.minutes)
    rounds = options.rounds or (7 if gpu else 21)
    rounds, seconds = (5, 0.05) if options.quick else (rounds, 0.1)
    record = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
        "backend": options.backend,
        "rounds": rounds,
        "load": load(),
        **environment(),
    }
    machine = record["machine"]
    print(
        f"lamina on {options.backend}, {machine['cores']} cores, BLAS {machine['blas']}; ", end=""
    )
    print(f"{'median' if gpu else 'best'} of {rounds} runs of each, in turn\n")
    if record["load"] and record["load"] > machine["cores"] / 4:
        print(f"The machine is busy (load {record['load']:.1f}): these times mean little.\n")
    last = last_record(options.backend)
    run = on_gpu.Run(options.backend, rounds, seconds, deadline, options.quick)
    if gpu:
        return measure_gpu(options, record, run, last)
    record["gflops"] = in_turn({"": lambda: probe("gflops")}, rounds=3)[""]
    measure_times(record, options.works or list(WORKS), run)
    print("\n".join([*table.times(record), *table.shares(record)]))
    if options.works:
        return 0
    record.update(measure_others(options.backend, options.quick))
    print("\n".join([*table.others(record), *table.verdict(record)]))
    if last:
        print("\n".join(table.changes(record, last)))
    if options.json:
        write(record, options.json)
        print(f"\nwritten: {options.json}")
    return 0


def measure_gpu(options, record: dict, run: on_gpu.Run, last: dict | None) -> int:
    """The parts that are asked for, each shown, and kept in the file, as soon as it is there.

    A file of this device keeps the parts and works of an earlier run that this one does not have.
    """
    record.update(on_gpu.device(run.backend))
    print("\n".join(gpu_table.device(record)))
    facts = record["device"]
    if run.backend.startswith("cupy") and not (isinstance(facts, dict) and facts["cupy works"]):
        raise SystemExit("CuPy computes on no device here: what is said above tells why")
    before = {}
    if options.json and options.json.exists():
        before = json.loads(options.json.read_text())
        if (before.get("backend"), before.get("device")) != (record["backend"], record["device"]):
            raise SystemExit(
                f"{options.json} is of another device or other versions: name another file"
            )
    record = {**before, **record, "times": before.get("times", {})}
    record["seconds"] = dict(before.get("seconds", {}))

    def keep():
        if options.json:
            write(record, options.json)

    wanted = options.works or list(GPU_WORKS)
    for part in options.parts:
        start = time.monotonic()
        if part == "times":
            measure_times(record, wanted, run, keep)
        elif part == "numpy":
            record["against numpy"] = on_gpu.against_numpy(run)
        elif part == "first":
            record["first step"] = on_gpu.first_steps(run)
        else:
            record.update(measure_others(run.backend, quick=True))
        record["seconds"][part] = round(time.monotonic() - start)
        keep()
        shown = {work: rows for work, rows in record["times"].items() if work in wanted}
        print("\n".join(gpu_table.SHOWN[part]({**record, "times": shown})))
        print(f"\n{part}: {record['seconds'][part]} s")
    print("\n".join(table.verdict(record)))
    if last and "times" in options.parts:
        print("\n".join(table.changes({**record, "times": shown}, last)))
    if options.json:
        drawn = picture.against_numpy(record, options.json.with_suffix(".png"))
        print("\nwritten:", options.json, drawn)
    return 0


def write(record: dict, path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bash ci/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="numpy", help="numpy, or cupy against torch on cuda")
    parser.add_argument("--quick", action="store_true", help="a minute, for a first look")
    names = [name for name in ALL if name not in GRID]
    parser.add_argument("--works", nargs="+", choices=names, help="times of these works, no more")
    parser.add_argument("--rounds", type=int, help="runs of each: 21, on a GPU 7")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=(*PARTS, "others"),
        help="on a GPU: the first step of a process, NumPy beside it, times beside PyTorch (these "
        "three by default), and what is else measured on NumPy",
    )
    parser.add_argument(
        "--minutes", type=float, default=8.5, help="on a GPU: what has not run by then is left out"
    )
    parser.add_argument(
        "--json",
        nargs="?",
        type=pathlib.Path,
        const=pathlib.Path("auto"),
        help="write the record to this file, by default one of today's date in ci/results; on a "
        "GPU it keeps the parts and works of another run that this one does not measure",
    )
    options = parser.parse_args()
    if options.backend == "numpy":
        if options.parts or set(options.works or ()) - set(WORKS):
            parser.error("--parts, and the works beyond " + ", ".join(WORKS) + ", are for a GPU")
        options.minutes = None
    elif not options.parts:
        options.parts = ("times",) if options.works else PARTS
    if options.json == pathlib.Path("auto"):
        name = f"{datetime.date.today()}-{options.backend.partition(':')[0]}.json"
        options.json = RESULTS / name
    return options


def load() -> float | None:
    """How many processes wanted to run over the last minute; None where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def environment() -> dict:
    from lamina.backend import diagnose

    return {"packages": diagnose.packages(), "machine": diagnose.machine()}


def rows_of(backend: str) -> dict:
    """{row: (library, how it trains, which works, the environment of its process)}."""
    if backend == "numpy":
        compiled = {name: tuple(NUMBA.items()) for name in ROWS if name.endswith(" numba")}
        return {name: (*row, compiled.get(name, ())) for name, row in ROWS.items()}
    return {
        name + suffix: (*row, (("CUPY_TF32", tf32),))
        for suffix, tf32 in on_gpu.SWITCHES.items()
        for name, row in on_gpu.ROWS.items()
    }


def measure_times(record: dict, wanted: list[str], run: on_gpu.Run, keep=lambda: None) -> None:
    """Put versions, and milliseconds per step of each library on each work, into the record.

    ``keep`` is called after every work. On a GPU the processes build what they run side by side.
    """
    rows = rows_of(run.backend)
    workers = {}
    record["versions"] = {}
    found = record.setdefault("times", {})
    for library, _, _, environment in rows.values():
        if (library, environment) not in workers:
            worker = Worker(library, run.backend, run.deadline, **dict(environment))
            workers[library, environment] = worker
    missing = {}
    for (library, environment), worker in workers.items():
        try:
            record["versions"][library] = worker.version()
        except Missing as reason:
            missing[library, environment] = str(reason)
    for work in wanted:
        runs, builds, failed = {}, {}, {}
        for name, (library, how, works, environment) in rows.items():
            if (works is None or work in works) and (how == "step" or ALL[work].trains):
                worker = workers[library, environment]
                runs[name] = functools.partial(worker.run, work, how, run.seconds)
                if (library, environment) in missing:
                    failed[name] = missing[library, environment]
                else:
                    builds[name] = worker, work, how
        if run.backend != "numpy":
            failed.update(build_together(builds))
        times = in_turn({n: r for n, r in runs.items() if n not in failed}, run.rounds, warm=1)
        times = {name: failed.get(name, times.get(name)) for name in runs}
        if work not in found or any(isinstance(row, list) for row in times.values()):
            found[work] = times  # what an earlier run measured outlives one that had no time left
        keep()
    for worker in workers.values():
        worker.close()


def measure_others(backend: str, quick: bool) -> dict:
    """Memory, import time, seconds to read digits, growth of a step, memory gained by steps."""

    def asked(name, *values, **environment):
        return lambda: probe(name, *values, backend=backend, **environment)

    def once(name, *values):
        return in_turn({name: asked(name, *values)}, rounds=1)[name]

    few, many = (1, 7) if quick else (3, 21)
    growth = once("growth")
    fused = {} if backend == "numpy" else {"fused": once("fused")}
    imports = {n: functools.partial(import_seconds, n) for n in ("lamina", "numpy")}
    return {
        "memory": in_turn(
            {
                f"{library}{suffix}{numba}": asked("peak_megabytes", library, work, **environment)
                for work, suffix in (("mlp", ""), ("cnn", " cnn"))
                for library, numba, environment in (
                    ("lamina", "", {}), ("torch", "", {}), ("lamina", " numba", NUMBA)
                )
                if backend == "numpy" or not numba
            },
            few,
        ),
        "import": in_turn(imports, many, warm=1),
        "digits": in_turn({"digits": asked("digits_seconds")}, few)["digits"],
        **{name: found[0] if isinstance(found, list) else found for name, found in fused.items()},
        "growth": growth[0] if isinstance(growth, list) else growth,
        "leak": once("leak_kilobytes", "1000" if quick else "10000"),
        "gradients": measure_gradients(few) if backend == "numpy" else "measured on NumPy alone",
    }


def measure_gradients(rounds: int) -> dict:
    """Microseconds of the gradients of plain functions: {function: {library: [runs]}}."""
    runs = {name: functools.partial(gradients, name) for name in ("lamina", "autograd")}
    found = {}
    for library, results in in_turn(runs, rounds).items():
        if isinstance(results, str):
            found.setdefault("missing", {})[library] = results
            continue
        for result in results:
            for function, value in result.items():
                found.setdefault(function, {}).setdefault(library, []).append(value)
    return found


def last_record(backend: str) -> dict | None:
    """The newest record in ci/results of the same backend."""
    records = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    same = [record for record in records if record.get("backend") == backend]
    return max(same, key=lambda record: record.get("date", ""), default=None)


if __name__ == "__main__":
    raise SystemExit(main())
