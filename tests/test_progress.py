"""What the progress bar writes, to the letter, in a terminal, a notebook and a file."""

import io
import sys

import pytest

from lamina.models.progress import ProgressBar


class Clock:
    """A clock that stands still until it is told to move on."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")


def run(bar, clock, seconds, total, logs=None, **kwargs):
    """One pass of steps that take the given seconds; returns the steps that were shown."""
    bar.begin(total, **kwargs)
    shown = []
    for step, took in enumerate(seconds, 1):
        clock.now += took
        if bar.due(step):
            shown.append(step)
            bar.update(step, {"loss": 1 / step})
    bar.finish(len(seconds), logs or {"loss": 1 / len(seconds)})
    return shown


def test_terminal():
    out, clock = Terminal(), Clock()
    bar = ProgressBar(1, stream=out, clock=clock)
    shown = run(bar, clock, [0.5, 0.1, 0.1, 0.1], 4, heading="Epoch 1/10")
    assert shown == [1, 2, 3]
    assert out.getvalue() == (
        "Epoch 1/10\n"
        "1/4 ━━━━━─────────────── 1s 500ms/step - loss: 1.0000\r"
        "2/4 ━━━━━━━━━━────────── 0s 100ms/step - loss: 0.5000\r"
        "3/4 ━━━━━━━━━━━━━━━───── 0s 100ms/step - loss: 0.3333\r"
        "4/4 ━━━━━━━━━━━━━━━━━━━━ 1s 100ms/step - loss: 0.2500\n"
    )


def test_leftovers_of_a_longer_line_are_erased():
    out, clock = Terminal(), Clock()
    bar = ProgressBar(1, stream=out, clock=clock)
    bar.begin(2)
    clock.now += 1
    bar.update(1, {"a_long_name": 1.0})
    bar.finish(1)
    first, second = out.getvalue().split("\r")
    assert second.rstrip() == "1/2 ━━━━━━━━━━────────── 1s 1s/step"
    assert len(second.rstrip("\n")) == len(first)


def test_refreshes_are_at_least_the_interval_apart():
    out, clock = Terminal(), Clock()
    bar = ProgressBar(1, stream=out, clock=clock)
    shown = run(bar, clock, [0.02] * 10, 10)
    assert shown == [3, 6, 9]


def test_an_epoch_shorter_than_the_interval_is_drawn_once():
    out, clock = Terminal(), Clock()
    bar = ProgressBar(1, stream=out, clock=clock)
    assert run(bar, clock, [0.01] * 3, 3) == []
    assert out.getvalue() == "3/3 ━━━━━━━━━━━━━━━━━━━━ 0s 10ms/step - loss: 0.3333\n"


def test_file_gets_one_line_an_epoch_and_no_carriage_return():
    out, clock = io.StringIO(), Clock()
    bar = ProgressBar("auto", stream=out, clock=clock)
    for epoch in (1, 2):
        assert run(bar, clock, [0.5, 0.1, 0.1], 3, heading=f"Epoch {epoch}/2") == []
    assert out.getvalue() == (
        "Epoch 1/2\n"
        "3/3 ━━━━━━━━━━━━━━━━━━━━ 1s 100ms/step - loss: 0.3333\n"
        "Epoch 2/2\n"
        "3/3 ━━━━━━━━━━━━━━━━━━━━ 1s 100ms/step - loss: 0.3333\n"
    )


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_verbose_2_is_one_line_an_epoch_everywhere(stream):
    out, clock = stream(), Clock()
    bar = ProgressBar(2, stream=out, clock=clock)
    assert run(bar, clock, [0.5, 0.042, 0.042], 3, heading="Epoch 1/10") == []
    assert out.getvalue() == "Epoch 1/10\n3/3 - 1s - 42ms/step - loss: 0.3333\n"


@pytest.mark.parametrize("verbose", [0, False])
def test_silent(verbose):
    out, clock = Terminal(), Clock()
    bar = ProgressBar(verbose, stream=out, clock=clock)
    assert run(bar, clock, [1.0] * 3, 3, heading="Epoch 1/1") == []
    bar.close()
    assert out.getvalue() == ""


@pytest.mark.parametrize("verbose", [3, -1, "yes", None])
def test_unknown_verbose(verbose):
    with pytest.raises(ValueError, match=r"verbose is 0 .* got"):
        ProgressBar(verbose)


def test_ascii_where_the_encoding_has_no_lines():
    raw, clock = io.BytesIO(), Clock()
    out = io.TextIOWrapper(raw, encoding="ascii", newline="")
    bar = ProgressBar(1, stream=out, clock=clock)
    bar.begin(4, "Epoch 1/1")
    bar.finish(2, {"perte_é": 1.0})
    assert raw.getvalue() == b"Epoch 1/1\n2/4 ==========.......... 0s 0s/step - perte_?: 1.0000\n"


def test_names_are_sorted_then_validation_then_the_learning_rate():
    out, clock = io.StringIO(), Clock()
    bar = ProgressBar(1, stream=out, clock=clock)
    names = ["val_loss", "learning_rate", "loss", "val_accuracy", "accuracy"]
    run(bar, clock, [0.0], 1, dict.fromkeys(names, 0.5))
    assert out.getvalue().endswith(
        " - accuracy: 0.5000 - loss: 0.5000 - val_accuracy: 0.5000 - val_loss: 0.5000"
        " - learning_rate: 0.5000\n"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.6931, "0.6931"),
        (-2.0, "-2.0000"),
        (0.0010001, "0.0010"),
        (0.001, "1.0000e-03"),
        (-1.234567e-5, "-1.2346e-05"),
        (0.0, "0.0000e+00"),
        (float("nan"), "nan"),
        (12345.0, "12345.0000"),
    ],
)
def test_numbers(value, text):
    out = io.StringIO()
    bar = ProgressBar(1, stream=out, clock=Clock())
    bar.begin(1)
    bar.finish(1, {"x": value})
    assert out.getvalue().endswith(f" - x: {text}\n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.4, "2s/step"), (0.0031, "3ms/step"), (0.00025, "250us/step"), (0.0, "0s/step")],
)
def test_units_of_time(seconds, text):
    out, clock = io.StringIO(), Clock()
    bar = ProgressBar(1, stream=out, clock=clock)
    run(bar, clock, [9.0] + [seconds] * 4, 5)
    assert f" {text} - loss" in out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(7, "7s"), (75, "1:15"), (3600, "1:00:00"), (3723, "1:02:03")]
)
def test_time_left(seconds, text):
    out, clock = Terminal(), Clock()
    bar = ProgressBar(1, stream=out, clock=clock)
    bar.begin(2)
    clock.now += seconds
    assert bar.due(1)
    bar.update(1)
    assert f" {text} " in out.getvalue()


def test_unknown_number_of_steps():
    out, clock = Terminal(), Clock()
    bar = ProgressBar(1, stream=out, clock=clock)
    run(bar, clock, [0.1] * 2, None)
    assert out.getvalue() == (
        "1/Unknown 0s 100ms/step - loss: 1.0000\r"
        "2/Unknown 0s 100ms/step - loss: 0.5000\r"
        "2/2 ━━━━━━━━━━━━━━━━━━━━ 0s 100ms/step - loss: 0.5000\n"
    )


def test_counts_are_aligned():
    out = io.StringIO()
    bar = ProgressBar(1, stream=out, clock=Clock())
    bar.begin(100)
    bar.finish(7)
    assert out.getvalue().startswith("  7/100 ━───")


def test_no_steps_at_all():
    out = io.StringIO()
    bar = ProgressBar(1, stream=out, clock=Clock())
    bar.begin(0)
    bar.finish(0)
    assert out.getvalue() == "0/0 ━━━━━━━━━━━━━━━━━━━━ 0s 0s/step\n"


def test_validation_does_not_count_as_time_of_a_step():
    out, clock = io.StringIO(), Clock()
    bar = ProgressBar(1, stream=out, clock=clock)
    bar.begin(3)
    for step in (1, 2, 3):
        clock.now += 0.1
        bar.due(step)
    bar.update(3, {"loss": 1.0})
    clock.now += 30
    bar.finish(3, {"loss": 1.0, "val_loss": 2.0})
    assert out.getvalue().endswith("30s 100ms/step - loss: 1.0000 - val_loss: 2.0000\n")


def test_a_line_never_wraps_while_it_is_redrawn(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    out, clock = Terminal(), Clock()
    bar = ProgressBar(1, stream=out, clock=clock)
    run(bar, clock, [1.0] * 3, 3)
    *redrawn, last = out.getvalue().split("\r")
    assert all(len(line) == 39 for line in redrawn)
    assert last.endswith("loss: 0.3333\n")


def test_close_ends_an_unfinished_line_once():
    out, clock = Terminal(), Clock()
    bar = ProgressBar(1, stream=out, clock=clock)
    bar.begin(3)
    clock.now += 1
    bar.update(1)
    bar.close()
    bar.close()
    assert out.getvalue().count("\n") == 1 and out.getvalue().endswith("\n")


def test_a_new_pass_after_an_interruption_starts_on_its_own_line():
    out, clock = Terminal(), Clock()
    bar = ProgressBar(1, stream=out, clock=clock)
    bar.begin(3)
    bar.update(1)
    bar.begin(3, "Epoch 2/2")
    assert out.getvalue().endswith("step\nEpoch 2/2\n")


def test_notebook_is_redrawn_less_often():
    notebook = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})
    out, clock = notebook(), Clock()
    bar = ProgressBar(1, stream=out, clock=clock)
    shown = run(bar, clock, [0.1] * 10, 10)
    assert shown == [3, 6, 9]
    assert out.getvalue().count("\n") == 1 and out.getvalue().count("\r") == 3


@pytest.mark.parametrize("module", ["idlelib.run"])
def test_consoles_that_cannot_go_back(module):
    console = type("Console", (Terminal,), {"__module__": module})
    out, clock = console(), Clock()
    run(ProgressBar(1, stream=out, clock=clock), clock, [1.0] * 3, 3)
    assert "\r" not in out.getvalue()


def test_dumb_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    out, clock = Terminal(), Clock()
    run(ProgressBar(1, stream=out, clock=clock), clock, [1.0] * 3, 3)
    assert "\r" not in out.getvalue()


def test_standard_output_is_looked_up_at_begin(capsys, monkeypatch):
    bar = ProgressBar(1, clock=Clock())
    bar.begin(1)
    bar.finish(1)
    assert capsys.readouterr().out == "1/1 ━━━━━━━━━━━━━━━━━━━━ 0s 0s/step\n"
    monkeypatch.setattr(sys, "stdout", None)
    bar.begin(1, "a program without a console")
    bar.finish(1)


def test_due_asks_the_clock_once():
    calls = []
    bar = ProgressBar(1, stream=Terminal(), clock=lambda: calls.append(1) or 0.0)
    bar.begin(10)
    calls.clear()
    for step in range(1, 6):
        bar.due(step)
    assert len(calls) == 5
