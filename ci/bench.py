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

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "bench_"))

import table  # noqa: E402
from turns import Missing, Worker, gradients, import_seconds, in_turn, probe  # noqa: E402
from works import WORKS  # noqa: E402

RESULTS = HERE / "results"

# Row of the table: (library, how it trains, which works; None for all of them)
ROWS = {
    "lamina batch": ("lamina", "step", None),
    "lamina fit": ("lamina", "fit", None),
    "torch step": ("torch", "step", None),
    "torch inside": ("torch_inside", "step", None),
    "keras fit": ("keras", "fit", tuple(name for name in WORKS if name != "resnet20")),
    "sklearn fit": ("sklearn", "fit", ("mlp",)),
    "dezero step": ("dezero", "step", ("cnn",)),
    "pydynet step": ("pydynet", "step", ("cnn",)),
    "smallpebble step": ("smallpebble", "step", ("cnn",)),
}
ON_GPU = ("lamina batch", "lamina fit", "torch step")


def main() -> int:
    options = arguments()
    rounds, seconds = (5, 0.05) if options.quick else (options.rounds, 0.25)
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
    print(f"best of {rounds} runs of each, in turn\n")
    if record["load"] and record["load"] > machine["cores"] / 4:
        print(f"The machine is busy (load {record['load']:.1f}): these times mean little.\n")
    record["gflops"] = in_turn({"": lambda: probe("gflops")}, rounds=3)[""]
    record["versions"], record["times"] = measure_times(
        options.backend, options.works or list(WORKS), rounds, seconds
    )
    print("\n".join([*table.times(record), *table.shares(record)]))
    if options.works:
        return 0
    record.update(measure_others(options.backend, options.quick))
    print("\n".join([*table.others(record), *table.verdict(record)]))
    last = last_record(options.backend)
    if last:
        print("\n".join(table.changes(record, last)))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=1) + "\n")
        print(f"\nwritten: {options.json}")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bash ci/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="numpy", help="numpy, or cupy against torch on cuda")
    parser.add_argument("--quick", action="store_true", help="a minute, for a first look")
    parser.add_argument("--works", nargs="+", choices=WORKS, help="times of these works, no more")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each, best of which counts")
    parser.add_argument(
        "--json",
        nargs="?",
        type=pathlib.Path,
        const=pathlib.Path("auto"),
        help="write the record to this file, by default one of today's date in ci/results",
    )
    options = parser.parse_args()
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


def measure_times(
    backend: str, wanted: list[str], rounds: int, seconds: float
) -> tuple[dict, dict]:
    """Versions, and milliseconds per step of each library on each work, in turn."""
    rows = {name: ROWS[name] for name in ROWS if backend == "numpy" or name in ON_GPU}
    workers, versions = {}, {}
    for library, _, _ in rows.values():
        if library in workers:
            continue
        try:
            workers[library] = Worker(library, backend)
            versions[library] = workers[library].version
        except Missing as reason:
            workers[library] = str(reason)

    def runner(library, work, how):
        def run():
            worker = workers[library]
            if isinstance(worker, str):
                raise Missing(worker)
            return worker.run(work, how, seconds)

        return run

    found = {}
    for work in wanted:
        runs = {
            name: runner(library, work, how)
            for name, (library, how, works) in rows.items()
            if (works is None or work in works) and (how == "step" or WORKS[work].trains)
        }
        found[work] = in_turn(runs, rounds, warm=1)
    for worker in workers.values():
        if isinstance(worker, Worker):
            worker.close()
    return versions, found


def measure_others(backend: str, quick: bool) -> dict:
    """Memory, import time, seconds to read digits, growth of a step, memory gained by steps."""

    def asked(name, *values):
        return lambda: probe(name, *values, backend=backend)

    def once(name, *values):
        return in_turn({name: asked(name, *values)}, rounds=1)[name]

    few, many = (1, 7) if quick else (3, 21)
    growth = once("growth")
    fused = {} if backend == "numpy" else {"fused": once("fused")}
    imports = {n: functools.partial(import_seconds, n) for n in ("lamina", "numpy")}
    return {
        "memory": in_turn(
            {
                f"{library}{suffix}": asked("peak_megabytes", library, work)
                for work, suffix in (("mlp", ""), ("cnn", " cnn"))
                for library in ("lamina", "torch")
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
