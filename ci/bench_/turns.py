"""Processes that run in turn: workers that stay warm, and probes that are fresh each time."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).parent
ALONE = {"LAMINA_NUMBA": "0"}  # NumPy does without numba, unless a row says otherwise


class Missing(Exception):
    """A library that is not installed, or cannot do the work: the row says so."""


class TimeUp(Missing):
    """There was no time for it, or it took more than it was given."""


class Deadline:
    """The moment by which a benchmark has to end, ``minutes`` from now; None for never."""

    LONGEST = 100.0
    """Seconds that one run, its building included, may take where there is a deadline."""

    def __init__(self, minutes: float | None = None):
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def patience(self) -> float | None:
        """Seconds that a run may take from now on; None for as many as it wants."""
        if self._end is None:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeUp("no time was left (see --minutes)")
        return min(left, self.LONGEST)


NEVER = Deadline()


class Worker:
    """A process that holds one library and runs what it is asked to; a new one after a failure."""

    def __init__(self, library: str, backend: str, deadline: Deadline = NEVER, **environment: str):
        self._command = [sys.executable, str(HERE / "worker.py"), library, backend]
        self._environment = {
            **os.environ, **ALONE, "KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "3",
            **environment,
        }  # fmt: skip
        self._deadline = deadline
        self._start()

    def version(self) -> str:
        """The version of the library, once it is there."""
        return self._answer().get("ready")

    def run(self, work: str, how: str, seconds: float) -> float:
        """Milliseconds per step of one run."""
        return self._ask(work=work, how=how, seconds=seconds)["ms"]

    def build(self, work: str, how: str) -> None:
        """Make what a run needs, and let it do a first step, which compiles."""
        self._ask(work=work, how=how, build=True)

    def close(self) -> None:
        if self._process is None:
            return
        self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._said.close()
        self._process = None

    def _start(self) -> None:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed with the process
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=self._environment,
        )

    def _ask(self, **request) -> dict:
        if self._process is None:
            self._start()
            self._answer()
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict:
        late, patience = threading.Event(), self._deadline.patience()

        def end():
            late.set()
            self._process.kill()

        timer = threading.Timer(patience or 0, end)
        if patience is not None:
            timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if line:
            facts = json.loads(line)
            if "missing" not in facts and "error" not in facts:
                return facts
            reason = Missing(facts.get("missing") or facts["error"])
        elif late.is_set():
            reason = TimeUp(f"took more than {patience:.0f} s")
        else:
            self._said.seek(0)
            words = self._said.read().splitlines() or ["no words"]
            reason = Missing(f"its process died: {words[-1]}")
        self.close()  # a device may refuse all that follows a failure
        raise reason


def build_together(rows: dict) -> dict[str, str]:
    """Build {row: (worker, work, how)}, the workers side by side: {row that failed: the reason}.

    Compiling takes many times as long as running, and is not what is timed.
    """
    workers = {worker for worker, _, _ in rows.values()}
    failed = {}

    def build(worker):
        for name, (own, work, how) in rows.items():
            if own is worker:
                try:
                    worker.build(work, how)
                except Missing as reason:
                    failed[name] = str(reason)

    with ThreadPoolExecutor(max(1, len(workers))) as pool:
        list(pool.map(build, workers))
    return failed


def in_turn(runs: dict, rounds: int, warm: int = 0, pause: float = 0.02) -> dict:
    """Call each run once per round, the first one rotating: {name: [results] or the reason}.

    The results of the first ``warm`` rounds, which come before the ``rounds``, are dropped.
    Neighbours on a machine only ever slow a run down, and what slows one round slows all of them.
    """
    found = {name: [] for name in runs}
    names, ended = list(runs), set()
    for turn in range(warm + rounds if names else 0):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            if name in ended:
                continue
            time.sleep(pause)
            try:
                result = runs[name]()
            except Missing as reason:
                ended.add(name)
                if not (isinstance(reason, TimeUp) and found[name]):
                    found[name] = str(reason)
                continue
            if turn >= warm:
                found[name].append(result)
    return found


def probe(
    name: str,
    *arguments: str,
    backend: str = "numpy",
    deadline: Deadline = NEVER,
    **environment: str,
):
    """What a fresh process prints for one probe of ``probes.py``."""
    environment["BENCH_BACKEND"] = backend
    program = str(HERE / "probes.py")
    return _printed(program, name, *arguments, patience=deadline.patience(), **environment)


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


def _printed(*arguments: str, patience: float | None = None, **environment: str):
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, **ALONE, **environment},
            stdin=subprocess.DEVNULL,
            timeout=patience,
        )
    except subprocess.TimeoutExpired:
        raise TimeUp(f"took more than {patience:.0f} s") from None
    if done.returncode:
        raise Missing((done.stderr.strip().splitlines() or ["no words"])[-1])
    return json.loads(done.stdout.splitlines()[-1])
