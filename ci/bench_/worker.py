"""A process of its own for one library: ``worker.py LIBRARY BACKEND``, warm from run to run.

Asked in JSON lines on its standard input, it answers in JSON lines on its standard output:
``{"work": "xor", "how": "step", "seconds": 0.2}`` gives ``{"ms": ..., "steps": ...}``; with
``"build": true`` for the seconds, it only makes ready.
"""

import importlib
import json
import os
import sys
import time

import kin
import peers
from works import ALL

PACKAGE = {"torch_inside": "torch", "torch_compile": "torch", "torch_graph": "torch"}
BEFORE = {"dezero": kin.give_old_names}


def main() -> None:
    library, backend = sys.argv[1:]
    # Libraries print; the answers keep the real output to themselves.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**facts):
        answers.write(json.dumps(facts) + "\n")

    BEFORE.get(library, lambda: None)()
    try:
        module = importlib.import_module(PACKAGE.get(library, library))
    except ImportError as error:
        answer(missing=str(error))
        return
    answer(ready=getattr(module, "__version__", ""))
    warm = {}
    for line in sys.stdin:
        ask = json.loads(line)
        try:
            answer(**timed(warm, library, backend, ask))
        except Exception as error:
            said = str(error).strip().partition("\n")[0]  # compilers say pages
            answer(error=f"{type(error).__name__}: {said}")


def timed(warm, library, backend, ask):
    """One run: milliseconds per step, over as many steps as fit the seconds asked for."""
    work, how = ALL[ask["work"]], ask["how"]
    key = (ask["work"], how)
    unit = work.batches if how == "fit" else 1
    if key not in warm:
        run = getattr(peers, library)(work, how, backend)
        run(unit)
        warm[key] = run, None
    run, steps = warm[key]
    if ask.get("build"):
        return {"built": True}
    if steps is None:
        run(max(unit, 5))
        once = clocked(run, max(unit, 5))
        steps = unit * max(1, round(ask["seconds"] / (once * unit)))
        warm[key] = run, steps
    return {"ms": clocked(run, steps) * 1e3, "steps": steps}


def clocked(run, steps):
    start = time.perf_counter()
    run(steps)
    return (time.perf_counter() - start) / steps


if __name__ == "__main__":
    main()
