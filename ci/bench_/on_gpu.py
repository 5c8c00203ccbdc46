"""What is measured of a GPU alone: which it is, the first step of a process, NumPy beside it.

Any backend but NumPy runs here; on the CPU it stands for a GPU, to try these lines without one.
"""

import dataclasses
import functools
import tempfile

from turns import Deadline, Missing, Worker, in_turn, probe
from works import GRID

# Row of the table: (library, how it trains, which works; None for all), with TF32 off and on.
ROWS = {
    "lamina batch": ("lamina", "step", None),
    "lamina fit": ("lamina", "fit", None),
    "torch step": ("torch", "step", None),
    "torch graph": ("torch_graph", "step", None),
    "torch compile": ("torch_compile", "step", None),
}
SWITCHES = {"": "0", " tf32": "1"}
"""What is added to the name of a row: ``CUPY_TF32`` of its process, which PyTorch's takes too."""


@dataclasses.dataclass(frozen=True)
class Run:
    """How long and how often: the backend, rounds and seconds of a run, when all has to end."""

    backend: str
    rounds: int
    seconds: float
    deadline: Deadline
    quick: bool = False


def device(backend: str) -> dict:
    """Device, driver and versions, and the rates of large products."""
    facts = in_turn({"": functools.partial(probe, "device", backend=backend)}, rounds=1)[""]
    rates = {
        f"gflops{suffix}": functools.partial(probe, "gflops", backend=backend, CUPY_TF32=tf32)
        for suffix, tf32 in SWITCHES.items()
    }
    return {"device": facts[0] if isinstance(facts, list) else facts, **in_turn(rates, rounds=1)}


def first_steps(run: Run) -> dict:
    """Seconds to the first step of a fresh process: {work: {how: [runs] or the reason}}.

    With an empty cache of CuPy's kernels once, then with the cache which that has filled. Processes
    before all these bring what is on the disk into memory.
    """
    settings = {"backend": run.backend, "deadline": run.deadline, "CUPY_TF32": "0"}
    asked = functools.partial(probe, "first_step", **settings)
    in_turn({name: functools.partial(asked, name, "mlp") for name in ("lamina", "torch")}, rounds=1)
    found = {}
    for work in ("mlp",) if run.quick else ("mlp", "cnn"):
        with tempfile.TemporaryDirectory() as folder:
            rows = {
                "lamina": functools.partial(asked, "lamina", work, CUPY_CACHE_DIR=folder),
                "torch": functools.partial(asked, "torch", work),
            }
            empty = in_turn({"lamina, empty cache": rows["lamina"]}, rounds=1)
            found[work] = {**empty, **in_turn(rows, rounds=1 if run.quick else 3)}
    return found


def against_numpy(run: Run) -> dict:
    """Milliseconds of a step of the mlp by width and batch: {cell: {backend: [runs] or reason}}."""
    cells = [cell for cell in GRID if not run.quick or "2048" not in cell]
    names = ("numpy", run.backend)
    workers = {name: Worker("lamina", name, run.deadline, CUPY_TF32="0") for name in names}
    found = {}
    try:
        for worker in workers.values():
            worker.version()
        for cell in cells:
            runs = {
                name: functools.partial(worker.run, cell, "step", run.seconds)
                for name, worker in workers.items()
            }
            found[cell] = in_turn(runs, run.rounds, warm=1)
    except Missing as reason:
        return {"missing": str(reason)}
    finally:
        for worker in workers.values():
            worker.close()
    return found
