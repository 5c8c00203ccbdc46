"""The benchmark's code, ci/bench: its rows on stand-ins for a GPU, its bars, its record."""

import contextlib
import dataclasses
import importlib
import json
import pathlib
import re
import sys
import types

import pytest

CI = pathlib.Path(__file__).parent.parent / "ci"
STRICT = "array_api_strict:device1"


@pytest.fixture
def bench(monkeypatch):
    """The module ci/bench.py; its parts are its attributes, or imported by their names."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(CI)
    monkeypatch.syspath_prepend(CI / "bench_")
    yield importlib.import_module("bench")
    for name in set(sys.modules) - before:
        if str(CI) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def part(name):
    return importlib.import_module(name)


@pytest.fixture
def torch():
    """PyTorch, whose switches are put back."""
    torch = pytest.importorskip("torch")
    places = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [place.allow_tf32 for place in places]
    yield torch
    for place, tf32 in zip(places, before):
        place.allow_tf32 = tf32


# --- what is run ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["step", "fit"])
def test_lamina_trains_on_a_device_with_nothing_on_the_host(bench, how):
    pytest.importorskip("array_api_strict")
    worker, warm = part("worker"), {}
    ask = {"work": "64-64-10", "how": how, "seconds": 0.001}
    assert worker.timed(warm, "lamina", STRICT, {**ask, "build": True}) == {"built": True}
    found = worker.timed(warm, "lamina", STRICT, ask)
    assert found["ms"] > 0
    assert found["steps"] % (200 if how == "fit" else 1) == 0


@pytest.mark.parametrize("how", ["step", "fit"])
def test_a_run_ends_when_the_device_has_done_its_steps(bench, monkeypatch, how):
    pytest.importorskip("array_api_strict")
    peers, events = part("peers"), []
    work = dataclasses.replace(bench.WORKS["xor"], batches=3)
    model = peers.lamina_model(work, STRICT)
    kind = {"step": "train_on_batch", "fit": "fit"}[how]
    train = getattr(model, kind)

    def told(x, y, **options):
        assert model.backend.owns(x) and model.backend.owns(y)
        events.append(kind)
        return train(x, y, **options)

    device = types.SimpleNamespace(synchronize=lambda: events.append("wait"))
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(Device=lambda: device))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(peers, "lamina_model", lambda work, backend: model)
    monkeypatch.setattr(model, kind, told)
    peers.lamina(work, how, "cupy:0")(6)
    assert events == [*[kind] * {"step": 6, "fit": 2}[how], "wait"]


def test_a_run_of_torch_ends_when_the_device_has_done_its_steps(bench, torch, monkeypatch):
    events = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: events.append("wait"))
    part("peers")._torch_steps(lambda: events.append("step"), "cupy")(3)
    assert events == ["step", "step", "step", "wait"]


def test_torch_takes_the_switch_of_tf32(bench, torch, monkeypatch):
    for said, tf32 in (("1", True), ("0", False)):
        monkeypatch.setenv("CUPY_TF32", said)
        part("peers").torch(bench.WORKS["xor"], "step", STRICT)(2)
        assert torch.backends.cuda.matmul.allow_tf32 is tf32
        assert torch.backends.cudnn.allow_tf32 is tf32


def test_a_graph_of_a_step_is_recorded_once_and_replayed(bench, torch, monkeypatch):
    peers, work = part("peers"), bench.WORKS["xor"]
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="needs a CUDA device"):
            peers.torch_graph(work, "step", STRICT)
    events = []

    class Stream:
        def wait_stream(self, other):
            events.append("wait")

    class Graph:
        def replay(self):
            events.append("replay")

    @contextlib.contextmanager
    def recording(graph):
        events.append("record")
        yield
        events.append("recorded")

    step = peers._torch_step
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", contextlib.nullcontext)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", recording)

    def told(*parts):
        learn = step(*parts)
        return lambda: (events.append("step"), learn())

    monkeypatch.setattr(peers, "_torch_step", told)
    peers.torch_graph(work, "step", STRICT)(2)
    warm = ["wait", "step", "step", "step", "wait"]
    assert events == [*warm, "record", "step", "recorded", "replay", "replay"]


def test_a_worker_that_failed_is_started_anew(bench):
    turns = part("turns")
    worker = turns.Worker("json", "numpy")  # a module of which no peer is written
    assert worker.version() is not None
    for _ in range(2):
        with pytest.raises(turns.Missing, match="AttributeError.*json"):
            worker.run("xor", "step", 0.01)
    worker.close()


def test_a_worker_that_takes_too_long_is_ended(bench, monkeypatch):
    turns = part("turns")
    monkeypatch.setattr(turns.Deadline, "LONGEST", 0.001)
    worker = turns.Worker("json", "numpy", turns.Deadline(1))
    with pytest.raises(turns.TimeUp, match="took more than"):
        worker.version()
    with pytest.raises(turns.TimeUp, match="took more than"):
        turns.probe("device", deadline=turns.Deadline(1))


def test_what_was_measured_before_the_deadline_counts(bench):
    turns = part("turns")

    def twice(results=(1.0, 2.0)):
        left = list(results)

        def run():
            if not left:
                raise turns.TimeUp("no time was left")
            return left.pop(0)

        return run

    found = turns.in_turn({"some": twice(), "none": twice(())}, rounds=5, pause=0)
    assert found == {"some": [1.0, 2.0], "none": "no time was left"}
    assert turns.in_turn({}, rounds=5) == {}
    with pytest.raises(turns.TimeUp, match="no time was left"):
        turns.Deadline(0).patience()
    assert turns.Deadline(None).patience() is None


# --- what is judged -------------------------------------------------------------------------------


def record_of(backend="cupy", **times):
    return {"backend": backend, "times": times, "growth": "not measured"}


def test_medians_are_held_against_the_bars_of_a_gpu(bench):
    table = part("table")
    rows = {
        "lamina fit": [1.0, 3.0, 2.0],
        "torch step": [4.0, 1.0, 9.0],
        "lamina fit tf32": [2.0],
        "torch step tf32": [3.9],
    }
    judged = {name: rest for name, *rest in table.bars(record_of(xor=rows, mlp={**rows}))}
    assert judged["xor step / PyTorch"] == [0.5, 0.5, True]
    assert judged["xor step / PyTorch tf32"] == [2 / 3.9, 0.5, False]
    assert judged["mlp step / PyTorch tf32"] == [2 / 3.9, 1.0, True]
    assert judged["cnn step / PyTorch"] == [None, 2.5, None]
    works = {name.partition(" step")[0] for name in judged}
    assert works == {"xor", "64-64-10", "mlp", "mlp 4096", "cnn"}
    assert works < set(bench.GPU_WORKS)


def test_times_are_held_against_ours_with_the_same_switch(bench):
    rows = {"lamina batch": [1.0], "torch step": [2.0]}
    rows |= {"lamina batch tf32": [4.0], "torch step tf32": [2.0], "torch graph tf32": "no graph"}
    told = [line.split()[2:] for line in part("table").times(record_of(xor=rows))[1:]]
    assert [line[-1] for line in told] == ["1.00", "2.00", "1.00", "0.50", "graph"]


def test_bars_are_those_of_the_backend(bench):
    table = part("table")
    numpy = [name for name, *_ in table.bars(record_of("numpy"))]
    assert "mlp step / PyTorch" in numpy
    assert not [name for name in numpy if "tf32" in name or "4096" in name]
    assert table.verdict(record_of(STRICT)) == []


def test_a_gpu_wins_from_the_batch_after_which_it_loses_no_more(bench):
    words = part("gpu_table")
    cells = {
        f"32 x {batch}": {"numpy": [ms], "cupy": [1.0]}
        for batch, ms in zip((8, 32, 128, 512, 2048), (2.0, 0.5, 1.5, 3.0, 0.0))
    }
    cells["128 x 8"] = {"numpy": [0.5], "cupy": "RuntimeError: no"}
    record = {**record_of(), "against numpy": cells}
    lines = words.against_numpy(record)
    (row,) = [line for line in lines if line.startswith("32 ")]
    assert row.split()[-1] == "128"
    assert "128 x 8 on cupy: RuntimeError: no" in lines


def test_the_gains_are_drawn(bench, tmp_path):
    pytest.importorskip("matplotlib")
    cells = {"32 x 8": {"numpy": [2.0], "cupy": [1.0]}}
    path = tmp_path / "2026-01-01-cupy.png"
    record = {**record_of(), "against numpy": cells}
    assert part("picture").against_numpy(record, path) == str(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert part("picture").against_numpy(record_of(), path) == ""


# --- what is kept ---------------------------------------------------------------------------------


class StandIn:
    """A worker that answers at once."""

    def __init__(self, library, backend, deadline, **environment):
        self.library = library + environment.get("CUPY_TF32", "")
        self.deadline = deadline
        self.milliseconds = 2.0 if "torch" in library else 1.0 if backend == "numpy" else 0.5

    def version(self):
        return "1.0"

    def build(self, work, how):
        if self.library == "torch_graph1":
            raise sys.modules["turns"].Missing("no graph here")

    def run(self, work, how, seconds):
        self.deadline.patience()
        return self.milliseconds

    def close(self):
        pass


@pytest.fixture
def run(bench, monkeypatch, capsys):
    """Run ci/bench.py on a GPU that answers at once: its output."""
    monkeypatch.setattr(bench, "Worker", StandIn)
    monkeypatch.setattr(bench.on_gpu, "Worker", StandIn)
    monkeypatch.setattr(bench, "last_record", lambda backend: None)
    monkeypatch.setattr(part("turns").time, "sleep", lambda seconds: None)
    found = {"devices": [{"name": "A"}], "cupy works": True}
    facts = {"device": found, "gflops": [1.0], "gflops tf32": "no"}
    monkeypatch.setattr(bench.on_gpu, "device", lambda backend: facts)
    monkeypatch.setattr(bench.on_gpu, "probe", lambda name, library, *a, **k: len(library) / 2)

    def main(*arguments, device="A"):
        found["devices"][0]["name"] = device
        found["cupy works"] = device is not None
        command = ["bench", "--backend", "cupy", "--quick", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        assert bench.main() == 0
        return capsys.readouterr().out

    return main


def test_the_parts_of_two_runs_are_one_record(run, tmp_path):
    path = tmp_path / "record.json"
    printed = run("--parts", "numpy", "--json", path)
    assert re.search(r"^512 +2.00 \(0.500\) .* 8$", printed, re.MULTILINE)
    printed = run("--works", "xor", "--json", path)
    assert "xor step / PyTorch tf32                            0.250     0.500  yes" in printed
    assert "no graph here" in printed
    run("--works", "mlp 4096", "cnn", "--json", path)
    run("--works", "mlp 4096", "resnet20", "--minutes", 0, "--json", path)
    run("--parts", "first", "--json", path)
    record = json.loads(path.read_text())
    assert set(record["times"]) == {"xor", "mlp 4096", "cnn", "resnet20"}
    assert record["times"]["mlp 4096"]["torch step"] == [2.0] * 5
    assert record["times"]["resnet20"]["torch step"] == "no time was left (see --minutes)"
    assert record["times"]["xor"]["torch graph tf32"] == "no graph here"
    assert len(record["times"]["cnn"]) == 10
    assert record["against numpy"]["512 x 8"] == {"numpy": [1.0] * 5, "cupy": [0.5] * 5}
    assert record["first step"]["mlp"]["lamina, empty cache"] == [3.0]
    assert record["device"]["devices"] == [{"name": "A"}]
    assert set(record["seconds"]) == {"numpy", "times", "first"}


def test_another_device_has_another_record(run, tmp_path):
    path = tmp_path / "record.json"
    run("--works", "xor", "--json", path)
    before = path.read_text()
    with pytest.raises(SystemExit, match="another device"):
        run("--works", "xor", "--json", path, device="B")
    assert path.read_text() == before


def test_without_a_device_nothing_is_written(run, tmp_path):
    path = tmp_path / "record.json"
    with pytest.raises(SystemExit, match="on no device"):
        run("--works", "xor", "--json", path, device=None)
    assert not path.exists()


def test_the_parts_of_a_gpu_are_refused_on_numpy(bench, monkeypatch, capsys):
    for wrong in (("--parts", "first"), ("--works", "mlp 4096")):
        monkeypatch.setattr(sys, "argv", ["bench", *wrong])
        with pytest.raises(SystemExit):
            bench.main()
        assert "are for a GPU" in capsys.readouterr().err
