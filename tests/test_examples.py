"""The examples run, and their numbers are those of the tutorials that they retell."""

import importlib.util
import json
import os
import pathlib
import runpy
import sys

import numpy as np
import pytest

import lamina
from lamina import config
from lamina.backend import diagnose

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples"
SHARED = ROOT.parent / "shared" / "data"
SCRIPTS = sorted(FOLDER.glob("*.py"))
PNG = b"\x89PNG\r\n\x1a\n"
LARGEST_PNG = 300_000


def load(name):
    """The example of that name as a module of its own."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def needs(monkeypatch):
    """Call with file names: skips where one is missing in LAMINA_DATA and ../shared/data."""

    def check(*names):
        folders = [*filter(None, os.environ.get("LAMINA_DATA", "").split(os.pathsep)), SHARED]
        for name in names:
            if not any((pathlib.Path(folder) / name).is_file() for folder in folders):
                pytest.skip(f"{name} is not in LAMINA_DATA or ../shared/data")
        monkeypatch.setenv("LAMINA_DATA", os.pathsep.join(map(str, folders)))

    return check


def assert_pictures(folder, names):
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    for path in folder.iterdir():
        content = path.read_bytes()
        assert content.startswith(PNG)
        assert 5_000 < len(content) < LARGEST_PNG


def test_neuron(capsys):
    figures = load("neuron").main()
    # The tutorial prints the second one as 4.1259, cut off where it should be rounded.
    np.testing.assert_allclose(figures["dots"], [2.1672, 4.1260], rtol=1e-12)
    np.testing.assert_allclose(figures["before"], [0.7985731, 0.87101915], atol=5e-8)
    assert figures["gradient_difference"] < 1e-14
    assert figures["after"][0] > 0.5 > figures["after"][1]
    assert "4.1260" in capsys.readouterr().out


def test_by_hand():
    figures = load("by_hand").main()
    assert figures["linear"] == {"hidden": [7, 1], "output": 13, "model": 13}
    assert figures["relu"] == {"sums": [22, -8], "hidden": [22, 0], "output": 44, "model": 44}


def test_house_prices():
    figures = load("house_prices").main()
    printed = {
        "hidden sums": [0.83333333, 0.44444444, 0.83333333],
        "hidden outputs": [0.69705928, 0.60931754, 0.69705928],
        "output sums": [1.04558893, 0.91397631, 1.04558893],
        "outputs": [0.73992695, 0.71381315, 0.73992695],
        "shown": [0.73295053, 0.70554727, 0.74962023],
    }
    for name, values in printed.items():
        np.testing.assert_allclose(figures[name], values, atol=5e-8)
    np.testing.assert_allclose(figures["model"], printed["shown"], atol=2e-7)
    # Trained, each network gives the three prices back; of the fourth house it has an opinion.
    np.testing.assert_allclose(figures["fits"], [[94, 89, 83]] * 5, atol=0.1)
    assert all(0 < price < 100 for price in figures["predictions"])


def test_xor(tmp_path):
    figures = load("xor").main(out=tmp_path)
    assert figures["difference"] < 1e-12
    assert figures["seeds"] == 20
    assert figures["learnt"] >= 19
    assert [round(answer) for answer in figures["answers"]] == [0, 1, 1, 0]
    assert config.floatx() == "float32"
    assert_pictures(tmp_path, ["xor.png"])


def test_pima_diabetes(needs, capsys):
    needs("pima-indians-diabetes.csv")
    accuracies = load("pima_diabetes").main()["accuracies"]
    # The last epochs move it by a point or two, so the middle one of three runs is what counts.
    assert sorted(accuracies)[1] >= 0.76
    assert f"accuracy: {accuracies[0] * 100:.2f}%" in capsys.readouterr().out


def test_digits(tmp_path, capsys):
    figures = load("digits").main(out=tmp_path)
    assert figures["accuracy"] >= 0.97
    assert figures["wrong"] == round((1 - figures["accuracy"]) * 359)
    text = capsys.readouterr().out
    assert "Epoch 40/40" in text
    assert f"Test accuracy: {figures['accuracy']:.2%}" in text
    pictures = ["confusion_matrix.png", "learning_curve.png", "wrongly_read.png"]
    assert_pictures(tmp_path, pictures)


def test_mnist(needs):
    needs("mnist-t10k-images-idx3-ubyte.gz", "mnist-t10k-labels-idx1-ubyte.gz")
    assert load("mnist").main(verbose=0)["accuracy"] >= 0.95


def test_mnist_convolution(needs, capsys):
    needs("mnist-t10k-images-idx3-ubyte.gz", "mnist-t10k-labels-idx1-ubyte.gz")
    assert load("mnist_convolution").main(verbose=0)["accuracy"] >= 0.98
    assert "Conv2D" in capsys.readouterr().out


@pytest.mark.parametrize("resnet18", [False, True])
def test_resnet_overfit(resnet18, capsys):
    """In its full width each learns 64 images by heart, also as it is used afterwards."""
    figures = load("resnet_overfit").main(resnet18=resnet18, verbose=0)
    assert figures["loss"] < 1e-3
    assert figures["accuracy"] == 1.0
    assert "Learnt by heart." in capsys.readouterr().out


def test_classics():
    figures = load("classics").main(verbose=0)
    assert figures["lenet5"] >= 0.95
    assert figures["small_vgg"] >= 0.95


def test_autoencoder(tmp_path, needs):
    needs("mnist-t10k-images-idx3-ubyte.gz", "mnist-t10k-labels-idx1-ubyte.gz")
    figures = load("autoencoder").main(out=tmp_path, verbose=0)
    assert figures["network"] < 0.75 * figures["components"]
    assert_pictures(tmp_path, ["autoencoder.png"])


def test_principal_components_are_the_best_that_lines_can_do(monkeypatch):
    example = load("autoencoder")
    monkeypatch.setattr(example, "NUMBERS", 3)
    x = np.random.default_rng(0).uniform(0.4, 0.6, size=(20, 3, 4, 1))
    again = example.principal_components(x, x)
    rest = np.linalg.svd(x.reshape(20, 12) - x.reshape(20, 12).mean(axis=0))[1][3:]
    np.testing.assert_allclose(((x - again) ** 2).sum(), (rest**2).sum(), rtol=1e-10)


def test_segment(tmp_path):
    figures = load("segment").main(out=tmp_path, verbose=0)
    assert figures["network"] > 0.68 and 0.4 < figures["by_brightness"] < 0.6
    assert_pictures(tmp_path, ["segment.png"])


def test_see_a_network(tmp_path, needs):
    needs("mnist-t10k-images-idx3-ubyte.gz", "mnist-t10k-labels-idx1-ubyte.gz")
    figures = load("see_a_network").main(out=tmp_path, verbose=0)
    assert figures["accuracy"] >= 0.9
    # what saliency names matters more than what it names for another digit
    assert figures["own"] < figures["others"] - 0.06 and figures["others"] > 0.7
    names = "confusion_matrix feature_maps filters grad_cam most_wrong saliency".split()
    assert_pictures(tmp_path, [f"{name}.png" for name in names])


def test_newton():
    figures = load("newton").main()
    assert figures["values"][0] == pytest.approx(24.2) and figures["values"][-1] < 1e-18
    np.testing.assert_allclose(figures["end"], [1, 1], rtol=1e-12)
    assert figures["descent"] > 1e-2


def test_least_squares():
    figures = load("least_squares").main()
    np.testing.assert_allclose(figures["times"], [0.5, 2.0], rtol=1e-8)
    np.testing.assert_allclose(figures["amounts"], [3.0, 1.0], rtol=1e-8)
    assert figures["misfit"] < 1e-20 and figures["steps"] <= 12


def test_derivatives(tmp_path):
    figures = load("derivatives").main(out=tmp_path)
    assert figures["difference"] < 1e-11
    # 16 (45 t^7 - 105 t^5 + 77 t^3 - 17 t), the sixth derivative, at t = tanh(0.5)
    t = np.tanh(0.5)
    sixth = 16 * (45 * t**7 - 105 * t**5 + 77 * t**3 - 17 * t)
    np.testing.assert_allclose(figures["at_half"], sixth, rtol=1e-12)
    assert_pictures(tmp_path, ["derivatives.png"])


def test_physics():
    figures = load("physics").main()
    assert figures["law"] < 1e-5 and figures["error"] < 1e-3


def test_gradient_penalty():
    figures = load("gradient_penalty").main()
    assert figures["before"] > 0.5 and figures["after"] < 0.1
    assert 0.8 < figures["slope"] < 1.2


BACKENDS_OF = """neuron by_hand house_prices xor digits newton least_squares derivatives physics
gradient_penalty resnet_overfit classics segment""".split()


@pytest.mark.parametrize("name", BACKENDS_OF)
def test_on_other_backends(name, backend):
    """Quick runs: an example names no array library, so it runs on all of them."""
    figures = load(name).main(backend=backend.backend, quick=True)
    assert figures
    assert str(lamina.backend.get()) == "numpy"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_help(path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [path.name, "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(path, run_name="__main__")
    assert stopped.value.code == 0
    assert "--backend" in capsys.readouterr().out


def test_from_the_command_line(tmp_path, monkeypatch, capsys):
    arguments = ["xor.py", "--quick", "--backend", "numpy", "--out", str(tmp_path / "new")]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(FOLDER / "xor.py", run_name="__main__")
    assert_pictures(tmp_path / "new", ["xor.png"])
    assert "xor.png" in capsys.readouterr().out


def run_notebook(name):
    """Run every cell, in order, in one namespace, and return it; none brings outputs along."""
    notebook = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    namespace = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            exec(compile("".join(cell["source"]), cell["id"], "exec"), namespace)
    return namespace


def test_first_notebook():
    namespace = run_notebook("first_network.ipynb")
    assert namespace["accuracy"] > 0.95
    answers = namespace["model"].predict(namespace["x"], verbose=0)[:, 0]
    assert [round(float(answer)) for answer in answers] == [0, 1, 1, 0]


def test_colab_notebook(needs, monkeypatch, capsys):
    needs("mnist-t10k-images-idx3-ubyte.gz", "mnist-t10k-labels-idx1-ubyte.gz")

    def install(*arguments, **how):
        raise AssertionError("lamina is there, so nothing is to be installed")

    monkeypatch.setattr("subprocess.run", install)
    monkeypatch.setattr(diagnose._nvidia, "_smi", lambda *arguments: "")
    namespace = run_notebook("colab.ipynb")
    assert namespace["accuracy"] > 0.94
    text = capsys.readouterr().out
    place = namespace["model"].backend
    assert f'backend="auto" is {place.name!r} here' in text
    assert f"On {place} it reads {namespace['accuracy']:.2%} of the digits" in text
    assert f"one step on {place}, 64 samples" in text


def test_index_names_every_example():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for path in [*SCRIPTS, *FOLDER.glob("*.ipynb")]:
        assert f"]({path.name})" in text


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_uses_the_public_face_alone(path):
    """An example imports nothing that a reader could not, and is short enough to be read."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 130
    for line in lines:
        if line.startswith(("import ", "from ")):
            assert line.split()[1] in ("argparse", "lamina", "pathlib", "time"), line
        assert "._" not in line, line
