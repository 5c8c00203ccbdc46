"""Run the array API standard's own suite on lamina.xp and on the array library alone.

    python ci/conformance.py FOLDER [--max-examples N] [--backends ...] [--modes ...]

Three ways: *xp*, arrays in and out of ``lamina.xp``; *constant*, every array a tensor; *recording*,
every floating-point array a tensor that requires a gradient. A failure is expected where
``tests/conformance_expected.txt`` says why, and then either the library alone has it as well or
the reason is lamina's own; any other ends the run with 1. Prints the counts of every run.
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXPECTED = ROOT / "tests" / "conformance_expected.txt"
VERSION = "2025.12"
MODULES = {
    "xp": "lamina.xp",
    "constant": "standard_of_tensors.constant",
    "recording": "standard_of_tensors.recording",
}
# Importable namespaces of the libraries alone.
ALONE = {"torch": "array_api_compat.torch", "cupy": "array_api_compat.cupy"}


def run(suite, backend, module, examples):
    """Outcomes by test of one run of the suite: "passed", "failed" or "skipped"."""
    name = backend.partition(":")[0]
    paths = [ROOT / "src", ROOT / "tests" / "conformance", os.environ.get("PYTHONPATH")]
    environment = {
        **os.environ,
        "ARRAY_API_TESTS_MODULE": MODULES.get(module) or ALONE.get(name, name),
        "ARRAY_API_TESTS_VERSION": VERSION,
        "LAMINA_BACKEND": backend,
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(str(path) for path in paths if path),
    }
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "report.xml")
        command = [
            sys.executable, "-m", "pytest", "array_api_tests", "-q", "-p", "no:cacheprovider",
            "--max-examples", str(examples), "--derandomize", "--disable-deadline", "--tb=line",
            f"--junitxml={report}",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=suite, env=environment, capture_output=True, text=True)
        if not report.exists() or done.returncode not in (0, 1):
            sys.exit(f"the suite did not run on {backend}, {module}:\n{done.stdout}{done.stderr}")
        return outcomes(report)


def outcomes(report):
    """What became of each test, from pytest's own report."""
    found = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        file = case.get("classname").removeprefix("array_api_tests.")
        kinds = {child.tag for child in case}
        failed = kinds & {"failure", "error"}
        outcome = "failed" if failed else "skipped" if "skipped" in kinds else "passed"
        found[f"{file}::{case.get('name')}"] = outcome
    return found


def expectations(text):
    """Triples (pattern of runs, pattern of tests, reason); see the file for its form."""
    found, runs, reason = [], "", ""
    for line in text.splitlines():
        if line.startswith("in "):
            runs, _, reason = line.removeprefix("in ").partition(": ")
        elif line.strip() and not line.startswith("#"):
            found.append((runs, line.strip(), reason))
    return found


def is_expected(name, test, expected):
    """Whether a failure of ``test`` in the run ``name`` stands in the file."""
    return any(
        fnmatch.fnmatchcase(name, runs) and matches(test, wanted) for runs, wanted, _ in expected
    )


def matches(test, wanted):
    """Whether ``test`` is the one wanted, or begins as it does up to a last ``*``."""
    return test.startswith(wanted[:-1]) if wanted.endswith("*") else test == wanted


def judge(name, found, alone, expected):
    """Print what became of the run ``name``; return the failures that nobody expects."""
    failed = [test for test, outcome in found.items() if outcome == "failed"]
    strange = [test for test in failed if not is_expected(name, test, expected)]
    shared = [test for test in failed if test not in strange and alone.get(test) == "failed"]
    own = len(failed) - len(strange) - len(shared)
    mended = [t for t in alone if alone[t] == "failed" and found.get(t) == "passed"]
    counts = collections.Counter(found.values())
    print(
        f"{name:28}{counts['passed']:5} passed {counts['skipped']:3} skipped "
        f"{len(shared):3} failed as alone {own:3} failed as listed "
        f"{len(strange):3} unexpected   ({len(mended)} fail alone and pass here)",
        flush=True,
    )
    for test in strange:
        print(f"    unexpected failure: {test}")
    patterns = [wanted for runs, wanted, _ in expected if fnmatch.fnmatchcase(name, runs)]
    for wanted in patterns:
        if not any(matches(test, wanted) for test in failed):
            print(f"    unexpected pass: {wanted}")
    return strange


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("suite", type=pathlib.Path)
    parser.add_argument("--max-examples", type=int, default=5)
    parser.add_argument("--backends", default="numpy,array_api_strict")
    parser.add_argument("--modes", default="xp,constant,recording")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    expected = expectations(EXPECTED.read_text(encoding="utf-8"))
    modes = options.modes.split(",")
    if wrong := set(modes) - set(MODULES):
        parser.error(f"--modes are among {', '.join(MODULES)}, got {', '.join(sorted(wrong))}")
    strange = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        started = {
            (backend, mode): pool.submit(run, options.suite, backend, mode, options.max_examples)
            for backend in options.backends.split(",")
            for mode in ("alone", *modes)
        }
        for backend in options.backends.split(","):
            alone = started[backend, "alone"].result()
            counts = collections.Counter(alone.values())
            print(
                f"{backend + ' alone':28}{counts['passed']:5} passed {counts['skipped']:3} skipped "
                f"{counts['failed']:3} failed",
                flush=True,
            )
            for mode in modes:
                found = started[backend, mode].result()
                strange += judge(f"{backend} {mode}", found, alone, expected)
    return 1 if strange else 0


if __name__ == "__main__":
    sys.exit(main())
