"""debug_nans tells the line of the user's file that first made a NaN or an infinity."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

import lamina
from lamina import xp

PROGRAM = """\
import lamina
from lamina import xp


def hidden(x):
    y = x * 2
    return xp.log(y)  # forward


def steep(x):
    root = xp.sqrt(x)  # backward
    return xp.sum(root * 3)


class Root(lamina.Layer):
    def call(self, inputs):
        return xp.sqrt(inputs * 0)  # layer


def operator(x):
    return 1 / x  # operator


def through_an_op(x):
    return xp.sum(
        lamina.ops.dense(x, x.T, activation="exponential")  # op
    )


def power(x):
    return xp.sum(x**1.5)  # second
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "users_program.py"
    path.write_text(PROGRAM)
    spec = importlib.util.spec_from_file_location("users_program", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with np.errstate(all="ignore"):
        yield module


def line(program, mark):
    """What the message says of the line with that comment."""
    lines = PROGRAM.splitlines()
    number = next(i for i, text in enumerate(lines) if text.endswith(f"# {mark}"))
    return f'at {program.__file__}:{number + 1}: "{lines[number].strip()}"'


def caught(call):
    with lamina.debug_nans(), pytest.raises(FloatingPointError) as error:
        call()
    return str(error.value)


def leaf(*values):
    return lamina.Tensor(np.asarray(values), requires_grad=True)


def test_forward(program):
    told = caught(lambda: program.hidden(leaf(0.0, 1.0)))
    assert "log gave float64 (2,) with 1 of 2 elements not finite" in told
    assert "from float64 (2,) in [0, 2]" in told
    assert line(program, "forward") in told
    assert line(program, "forward") in caught(
        lambda: program.hidden(np.asarray([-1.0])) * 1 or xp.log(program.hidden(np.asarray([-1.0])))
    )
    assert line(program, "operator") in caught(lambda: program.operator(leaf(0.0)))


def test_backward(program):
    told = caught(lambda: program.steep(leaf(0.0, 4.0)).backward())
    assert "the gradient of sqrt is float64 (2,) with 1 of 2 elements not finite" in told
    assert line(program, "backward") in told
    assert line(program, "backward") in caught(lambda: lamina.grad(program.steep)(np.zeros(2)))


def test_forward_mode(program):
    one = np.asarray([1.0])
    told = caught(lambda: lamina.jvp(program.steep, (0 * one,), (one,)))
    assert "the tangent of sqrt is" in told and line(program, "backward") in told


def test_second_derivatives(program):
    total = lambda x: xp.sum(lamina.grad(program.power)(x))
    told = caught(lambda: lamina.grad(total)(np.asarray([0.0, 4.0])))
    assert line(program, "second") in told


def test_within_a_checkpoint(program):
    f = lamina.checkpoint(program.steep)
    assert line(program, "backward") in caught(lambda: lamina.grad(f)(np.zeros(2)))


def test_a_layers_line(program):
    model = lamina.Sequential([lamina.Input((2,)), program.Root(name="roots")])
    model.compile("sgd", "mse")
    x = lamina.Tensor(np.ones((3, 2)), requires_grad=True)
    told = caught(lambda: xp.sum(model(x)).backward())
    assert 'the gradient of sqrt of layer "roots"' in told and line(program, "layer") in told


def test_the_line_of_an_op_over_several_lines(program):
    told = caught(lambda: program.through_an_op(leaf([1e3, 1.0])))
    assert "dense gave" in told and line(program, "op") in told


def test_the_line_of_fit_where_no_other_is_the_users(tmp_path):
    path = tmp_path / "fit.py"
    path.write_text(
        "import warnings, numpy as np, lamina\n"
        "warnings.simplefilter('ignore')\n"
        "from lamina import layers\n"
        "model = lamina.Sequential([layers.Input((2,)), layers.Dense(1)])\n"
        "model.compile('sgd', 'mse')\n"
        "lamina.debug_nans()\n"
        "model.fit(np.full((4, 2), 1e38), np.ones((4, 1)), verbose=0)\n"
    )
    done = subprocess.run([sys.executable, path], capture_output=True, text=True)
    assert done.returncode and f'{path}:7: "model.fit(' in done.stderr.splitlines()[-1]


def test_a_line_without_a_file():
    scope = {"__name__": "__main__", "xp": xp, "x": leaf(0.0)}
    with np.errstate(all="ignore"):
        told = caught(lambda: exec("y = xp.log(x)", scope))
    assert "at <string>:1" in told


def test_what_was_recorded_before_has_no_line():
    y = xp.sum(xp.sqrt(leaf(0.0, 1.0)))
    with np.errstate(all="ignore"):
        told = caught(y.backward)
    assert "the gradient of sqrt is" in told and " at " not in told.partition("sqrt is")[2][:60]
