"""Processes that run in turn: workers that stay warm, and probes that are fresh each time."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent


class Missing(Exception):
    """A library that is not installed, or cannot do the work: the row says so."""


class Worker:
    """A process that holds one library and runs what it is asked to."""

    def __init__(self, library: str, backend: str):
        environment = {**os.environ, "KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed with the process
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), library, backend],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=environment,
        )
        self.version = self._answer().get("ready")

    def run(self, work: str, how: str, seconds: float) -> float:
        """Milliseconds per step of one run."""
        request = {"work": work, "how": how, "seconds": seconds}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()["ms"]

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()
        self._said.close()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            self._said.seek(0)
            raise Missing(
                "its process died: " + (self._said.read().splitlines() or ["no words"])[-1]
            )
        facts = json.loads(line)
        if "missing" in facts or "error" in facts:
            raise Missing(facts.get("missing") or facts["error"])
        return facts


def in_turn(runs: dict, rounds: int, warm: int = 0, pause: float = 0.02) -> dict:
    """Call each run once per round, the first one rotating: {name: [results] or the reason}.

    The results of the first ``warm`` rounds, which come before the ``rounds``, are dropped.
    Neighbours on a machine only ever slow a run down, and what slows one round slows all of them.
    """
    found = {name: [] for name in runs}
    names = list(runs)
    for turn in range(warm + rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            if not isinstance(found[name], list):
                continue
            time.sleep(pause)
            try:
                result = runs[name]()
            except Missing as reason:
                found[name] = str(reason)
                continue
            if turn >= warm:
                found[name].append(result)
    return found


def probe(name: str, *arguments: str, backend: str = "numpy"):
    """The number a fresh process prints for one probe of ``probes.py``."""
    return _printed(str(HERE / "probes.py"), name, *arguments, BENCH_BACKEND=backend)


def gradients(library: str) -> dict:
    """What a fresh process finds out of the gradients of plain functions in one library."""
    return _printed(str(HERE / "derivatives.py"), library)


def import_seconds(module: str) -> float:
    """Seconds that a fresh process takes to import a module, less Python's own start.

    From compiled files, as for any user: an environment that forbids writing those is overruled.
    """
    clock = "from time import perf_counter as now; start = now()"
    return _printed(
        "-c", f"{clock}; import {module}; print(now() - start)", PYTHONDONTWRITEBYTECODE=""
    )


def _printed(*arguments: str, **environment: str):
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise Missing((done.stderr.strip().splitlines() or ["no words"])[-1])
    return json.loads(done.stdout.splitlines()[-1])
