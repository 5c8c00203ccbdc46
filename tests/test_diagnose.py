"""The diagnosis names each way CuPy can fail, and the line that mends it, without a GPU."""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import types

import pytest

import lamina
from lamina.backend import _nvidia, diagnose

SMI_TABLE = """\
| NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: {version}    |
|   0  Fake GPU                      Off | 00000000:00:1E.0 Off |                    0 |
"""


class FakeDistribution:
    def __init__(self, name, version):
        self.metadata = {"Name": name}
        self.version = version


class FakeScalar(float):
    def sum(self):
        return self

    def __matmul__(self, other):
        return FakeScalar(8)


class FakeDevice:
    def __init__(self, index):
        self.index = index

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return None


def fake_cupy(*, available=True, failure=None):
    """A module that answers as CuPy does, or fails in its smoke operation."""

    def ones(shape, dtype=None):
        if failure is not None:
            raise failure
        return FakeScalar(1)

    runtime = types.SimpleNamespace(
        getDeviceCount=lambda: 2,
        getDeviceProperties=lambda index: {"name": b"Fake GPU"},
        memGetInfo=lambda: (3 * 2**30, 4 * 2**30),
    )
    module = types.ModuleType("cupy")
    module.ones = ones
    module.cuda = types.SimpleNamespace(
        is_available=lambda: available, runtime=runtime, Device=FakeDevice
    )
    return module


@pytest.fixture
def pretend(monkeypatch, tmp_path):
    """pretend(driver=, wheels=, cupy=): a machine with this driver, these wheels, this module."""

    def arrange(*, driver=None, wheels=(), cupy=None):
        installed = [FakeDistribution(name, "14.2.0") for name in (*wheels, "numpy")]
        monkeypatch.setattr(importlib.metadata, "distributions", lambda: iter(installed))
        monkeypatch.setattr(_nvidia, "_version_from_library", lambda: None)
        table = SMI_TABLE.format(version=driver)
        listing = "Fake GPU, 4096, 3072\n"
        answers = {(): table} if driver else {}
        monkeypatch.setattr(
            _nvidia,
            "_smi",
            lambda *arguments: answers.get(arguments, listing if driver else ""),
        )
        if cupy is None:
            monkeypatch.delitem(sys.modules, "cupy", raising=False)
            monkeypatch.setattr(diagnose.importlib.util, "find_spec", lambda name: None)
        else:
            monkeypatch.setitem(sys.modules, "cupy", cupy)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return arrange


def test_no_driver_means_numpy(pretend):
    pretend()
    facts = diagnose.report()
    assert facts["auto"] == "numpy"
    assert facts["cuda"]["remedy"] == []
    assert facts["cuda"]["extra"] is None
    assert "NumPy is what will be used" in facts["cuda"]["problem"]
    assert 'with a GPU, run   pip install "lamina[cuda13]", or' in diagnose.text(facts)


@pytest.mark.parametrize(("driver", "extra"), [("12.4", "cuda12"), ("13.1", "cuda13")])
def test_a_driver_without_cupy_names_the_extra(pretend, driver, extra):
    pretend(driver=driver)
    cuda = diagnose.cuda_report()
    assert cuda["driver"] == driver
    assert cuda["extra"] == extra
    assert cuda["remedy"] == [f'pip install "lamina[{extra}]"']
    assert cuda["devices"] == [{"name": "Fake GPU", "memory": 4 * 2**30, "free": 3 * 2**30}]


def test_an_old_driver_is_to_be_updated(pretend):
    pretend(driver="11.4")
    cuda = diagnose.cuda_report()
    assert cuda["extra"] is None
    assert cuda["remedy"] == []
    assert "update the driver" in cuda["problem"]


@pytest.mark.parametrize("cupy", [None, fake_cupy()], ids=["failing", "working"])
def test_two_wheels_are_both_named(pretend, cupy):
    pretend(driver="12.4", wheels=["cupy-cuda12x", "cupy-cuda11x"], cupy=cupy)
    assert diagnose.cuda_report()["remedy"] == [
        "pip uninstall -y cupy-cuda11x cupy-cuda12x",
        'pip install "lamina[cuda12]"',
    ]


@pytest.mark.parametrize(
    "message",
    [
        "CuPy failed to load libnvrtc.so.12: cannot open shared object file",
        "Failed to find CUDA headers",
        'cannot open source file "cuda_fp16.h"',
    ],
)
def test_a_missing_part_of_cuda_is_fetched_by_ctk(pretend, message):
    pretend(driver="13.0", wheels=["cupy-cuda12x"], cupy=fake_cupy(failure=RuntimeError(message)))
    cuda = diagnose.cuda_report()
    assert not cuda["works"]
    assert cuda["remedy"] == ['pip install "cupy-cuda12x[ctk]"']
    assert message in cuda["problem"]


def test_a_wheel_for_a_newer_cuda_than_the_driver_is_replaced(pretend):
    pretend(driver="12.8", wheels=["cupy-cuda13x"], cupy=fake_cupy(available=False))
    assert diagnose.cuda_report()["remedy"] == [
        "pip uninstall -y cupy-cuda13x",
        'pip install "lamina[cuda12]"',
    ]


def test_a_hidden_device_is_told_by_the_variable_that_hides_it(pretend, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    pretend(driver="12.8", wheels=["cupy-cuda12x"], cupy=fake_cupy(available=False))
    cuda = diagnose.cuda_report()
    assert cuda["remedy"] == []
    assert "CUDA_VISIBLE_DEVICES is ''" in cuda["problem"]


def test_any_other_failure_is_told_and_the_wheel_replaced(pretend):
    failure = RuntimeError("numpy has another ABI")
    pretend(driver="12.8", wheels=["cupy-cuda12x"], cupy=fake_cupy(failure=failure))
    cuda = diagnose.cuda_report()
    assert cuda["remedy"] == ["pip uninstall -y cupy-cuda12x", 'pip install "lamina[cuda12]"']
    assert "another ABI" in cuda["problem"]


def test_a_working_cupy_shows_its_devices(pretend):
    pretend(driver="12.8", wheels=["cupy-cuda12x"], cupy=fake_cupy())
    facts = diagnose.report()
    assert facts["auto"] == "cupy"
    assert facts["cuda"]["problem"] is None
    assert facts["cuda"]["remedy"] == []
    words = diagnose.text(facts)
    assert "device 1          Fake GPU, 3.0 GiB of 4.0 GiB free" in words
    assert "cupy-cuda12x 14.2.0" in words


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for nvidia-smi is a shell script")
def test_the_driver_is_asked_through_nvidia_smi(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        '--query-gpu=*) echo "Fake GPU, 4096, 3072";;\n'
        '*) echo "| NVIDIA-SMI 550.54  Driver Version: 550.54  CUDA Version: 12.4 |";;\n'
        "esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert _nvidia.driver_version() == (12, 4)
    assert _nvidia.devices() == [{"name": "Fake GPU", "memory": 4 * 2**30, "free": 3 * 2**30}]


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for nvidia-smi is a shell script")
def test_an_nvidia_smi_that_fails_is_no_driver(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\necho 'could not talk to the driver. CUDA Version: 12.4'\nexit 9\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(_nvidia, "_version_from_library", lambda: None)
    assert _nvidia.driver_version() is None
    assert _nvidia.devices() == []


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("CUDA Version: 12.4", (12, 4)),
        ("CUDA UMD Version: 13.2", (13, 2)),
        ("CUDA Version        : 13.0", (13, 0)),
        ("", None),
    ],
)
def test_the_forms_in_which_drivers_print_their_cuda(printed, version):
    assert _nvidia._version_from_smi(printed) == version


def test_the_command_prints_words_and_json():
    command = [sys.executable, "-m", "lamina"]
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "numpy" in words
    assert "BLAS" in words
    printed = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    facts = json.loads(printed.stdout)
    assert facts["packages"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["auto"] in ("numpy", "cupy")


@pytest.mark.parametrize(
    ("is_there", "on", "told"),
    [(True, True, "by numba"), (True, False, "off"), (False, True, "pip install")],
)
def test_whether_loops_are_compiled_is_told(monkeypatch, is_there, on, told):
    found = importlib.util.find_spec
    seen = lambda name: (object() if is_there else None) if name == "numba" else found(name)
    monkeypatch.setattr(importlib.util, "find_spec", seen)
    lamina.config.set_numba(on)
    facts = diagnose.report()
    assert told in facts["machine"]["loops"]
    assert facts["machine"]["loops"] in diagnose.text(facts)
