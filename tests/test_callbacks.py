"""Callbacks, driven by a model whose figures are written down beforehand."""

import csv
import math
import random
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from lamina import callbacks as cb
from lamina.models.callbacks.callback import HOOKS
from lamina.models.callbacks.monitor import direction

NAN = float("nan")
INF = float("inf")


class FakeModel:
    """Its single weight is the number of epochs it has been trained for."""

    name = "fake"

    def __init__(self, learning_rate=1.0):
        self.stop_training = False
        self.optimizer = SimpleNamespace(learning_rate=learning_rate)
        self.weight = 0
        self.saved = {}

    def get_weights(self):
        return [np.array(self.weight)]

    def set_weights(self, weights):
        self.weight = int(weights[0])

    def save_weights(self, path, overwrite=True):
        assert overwrite
        self.saved[path] = self.weight


def fit(model, callbacks, figures, batches=1, interrupt_after=None, initial_epoch=0):
    """Train for as many epochs as there are figures; a number is an epoch's ``val_loss``."""
    every = cb.CallbackList(callbacks, add_history=True, model=model, epochs=len(figures))
    model.stop_training = False
    every.on_train_begin()
    for epoch, logs in enumerate(figures, initial_epoch):
        logs = dict(logs) if isinstance(logs, dict) else {"val_loss": logs}
        every.on_epoch_begin(epoch)
        for batch in range(batches):
            every.on_train_batch_begin(batch)
            every.on_train_batch_end(batch, dict(logs))
            if model.stop_training:
                break
        model.weight = epoch + 1
        every.on_epoch_end(epoch, every.epoch_logs(logs))
        if model.stop_training or epoch == interrupt_after:
            break
    every.on_train_end()
    return every.history


# The protocol


def record(calls, *hooks):
    def write(hook):
        return lambda *args: calls.append((hook, *args))

    return cb.LambdaCallback(**{hook: write(hook) for hook in hooks})


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_passed_on_with_its_arguments(hook):
    calls = []
    every = cb.CallbackList([record(calls, hook)])
    old_name = hook in ("on_batch_begin", "on_batch_end")
    called = hook.replace("on_batch", "on_train_batch") if old_name else hook
    position = (3,) if "batch" in hook or "epoch" in hook else ()
    assert every.wants(called) and every.wants(hook)
    getattr(every, called)(*position)
    getattr(every, called)(*position, {"loss": 1.0})
    assert calls == [(hook, *position, {}), (hook, *position, {"loss": 1.0})]


def test_hooks_that_nobody_overrides_are_not_wanted():
    class EpochOnly(cb.Callback):
        def on_epoch_end(self, epoch, logs=None):
            pass

    every = cb.CallbackList([EpochOnly(), cb.Callback()], add_history=True)
    assert [hook for hook in HOOKS if every.wants(hook)] == ["on_train_begin", "on_epoch_end"]


def test_the_older_batch_names_make_the_new_ones_wanted():
    class Old(cb.Callback):
        def on_batch_end(self, batch, logs=None):
            pass

    every = cb.CallbackList(Old())
    assert every.wants("on_train_batch_end")
    assert not every.wants("on_train_batch_begin")


def test_callbacks_that_work_by_the_epoch_want_no_batches(tmp_path):
    every = cb.CallbackList(
        [
            cb.EarlyStopping(),
            cb.ModelCheckpoint(tmp_path / "w.npz", save_weights_only=True),
            cb.ReduceLROnPlateau(),
            cb.LearningRateScheduler(lambda epoch, lr: lr),
            cb.CSVLogger(tmp_path / "log.csv"),
        ],
        add_history=True,
    )
    assert not [hook for hook in HOOKS if "batch" in hook and every.wants(hook)]
    assert cb.CallbackList([cb.TerminateOnNaN()]).wants("on_train_batch_end")
    each = cb.ModelCheckpoint(tmp_path / "w.npz", save_weights_only=True, save_freq=3)
    assert cb.CallbackList([each]).wants("on_train_batch_end")


def test_model_and_params_reach_every_callback():
    model, inner, late = FakeModel(), cb.Callback(), cb.Callback()
    every = cb.CallbackList([cb.CallbackList([inner])], model=model, epochs=3, steps=None)
    every.append(late)
    assert inner.model is late.model is model
    assert inner.params == late.params == {"epochs": 3, "steps": None}
    assert len(every) == 2 and list(every)[1] is late


def test_history_comes_last_and_a_given_one_is_kept():
    history = cb.History()
    other = cb.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(extra=1.0))
    every = cb.CallbackList([history, other], add_history=True)
    assert every.history is history and every.callbacks == [other, history]
    every.on_epoch_end(0, {"loss": 2.0})
    assert history.history == {"loss": [2.0], "extra": [1.0]}
    assert cb.CallbackList().history is None


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (cb.EarlyStopping, r"got the class EarlyStopping: write EarlyStopping\(\.\.\.\)"),
        (print, "got .*print.* wrap functions in LambdaCallback"),
    ],
)
def test_what_is_not_a_callback(wrong, match):
    with pytest.raises(TypeError, match=match):
        cb.CallbackList([wrong])
    with pytest.raises(TypeError, match=match):
        cb.CallbackList().append(wrong)


def test_lambda_callback_names_the_hook_that_was_meant():
    with pytest.raises(ValueError, match="did you mean 'on_epoch_end'"):
        cb.LambdaCallback(on_epoch_ends=print)


# Which way is better


@pytest.mark.parametrize(
    "name",
    """accuracy val_accuracy acc val_acc auc auc_2 AUC precision recall_1 f1_score val_r2_score
    binary_accuracy sparse_top_k_categorical_accuracy mean_io_u one_hot_mean_io_u binary_io_u
    cosine_similarity fbeta_score precision_at_recall sensitivity_at_specificity true_positives
    head_accuracy loss_head_accuracy""".split(),
)
def test_directions_up(name):
    assert direction(name) == "max"


@pytest.mark.parametrize(
    "name",
    """loss val_loss head_loss accuracy_loss mse MAE mean_squared_error val_root_mean_squared_error
    mean_absolute_percentage_error kl_divergence poisson log_cosh huber hinge squared_hinge
    categorical_crossentropy false_negatives perplexity""".split(),
)
def test_directions_down(name):
    assert direction(name) == "min"


@pytest.mark.parametrize(
    "make", [cb.EarlyStopping, cb.ReduceLROnPlateau], ids=["EarlyStopping", "ReduceLROnPlateau"]
)
def test_directions_that_cannot_be_known(make):
    with pytest.raises(ValueError, match="got 'val_quality': pass mode='min' or mode='max'"):
        make("val_quality")
    assert make("val_quality", mode="max").mode == "max"
    with pytest.raises(ValueError, match="unknown mode 'minimum'"):
        make(mode="minimum")


def test_a_missing_figure_is_warned_about_by_name():
    with pytest.warns(UserWarning, match="monitors 'val_los'.*one of accuracy, loss, or pass"):
        fit(FakeModel(), [cb.EarlyStopping("val_los", mode="min")], [{"loss": 1.0, "accuracy": 0}])
    with pytest.warns(UserWarning, match="none, the logs are empty"):
        fit(FakeModel(), [cb.EarlyStopping("loss")], [{}])


def test_a_figure_that_comes_only_now_and_then_is_not_warned_about():
    figures = [{"loss": 1.0, "val_loss": 3.0}, {"loss": 1.0}, {"loss": 1.0, "val_loss": 4.0}]
    stop = cb.EarlyStopping(patience=2)
    assert len(fit(FakeModel(), [stop], figures).epoch) == 3
    assert stop.wait == 1


# EarlyStopping

STOPPING = [
    # options, figures, number of epochs run
    ({}, [3, 2, 2, 1], 3),
    ({}, [3, 4, 1], 2),
    ({}, [NAN, 2, 1], 3),
    ({"patience": 1}, [3, 4, 1], 2),
    ({"patience": 2}, [3, 4, 2.5, 2.6, 2.7, 1], 5),
    ({"patience": 3}, [3, 4, 4, 2, 5, 5, 5, 1], 7),
    ({"patience": 3}, [3, 4, 4, 2, 5, 5], 6),
    ({"patience": 2, "min_delta": 0.5}, [3, 2.6, 2.5, 1], 3),
    ({"patience": 2, "min_delta": 0.5}, [3, 2.6, 2.4, 1], 4),
    ({"patience": 2, "min_delta": -0.5}, [3, 2.6, 2.5, 1], 3),
    ({"patience": 1, "mode": "max"}, [1, 2, 3, 3, 4], 4),
    ({"patience": 1, "mode": "max", "min_delta": 0.5}, [1, 1.5, 3], 2),
    ({"patience": 2, "baseline": 1.0}, [3, 2.9, 2.8, 2.7], 4),
    ({"patience": 2, "baseline": 1.0}, [3, 3, 3, 3], 2),
    ({"patience": 2, "baseline": 1.0}, [3, 0.5, 0.9, 0.9, 0.1], 4),
    ({"patience": 1, "start_from_epoch": 3}, [1, 2, 3, 4, 5, 0], 5),
    ({"patience": 2, "start_from_epoch": 2}, [1, 2, 5, 4, 4, 4, 3], 6),
    ({"patience": 2}, [NAN, NAN, 1], 2),
    ({"patience": 2}, [1, NAN, NAN, 0], 3),
    ({"patience": 2}, [INF, 2, 3, 3, 1], 4),
    ({"patience": 2}, [INF, INF, INF, 1], 3),
]


@pytest.mark.parametrize(("options", "figures", "epochs"), STOPPING)
def test_early_stopping_counts_its_patience(options, figures, epochs):
    model, stop = FakeModel(), cb.EarlyStopping(**options)
    assert len(fit(model, [stop], figures).epoch) == epochs
    assert model.weight == epochs
    stopped = epochs < len(figures) or model.stop_training
    assert stop.stopped_epoch == (epochs - 1 if stopped else 0)


@pytest.mark.parametrize(
    ("options", "figures", "kept"),
    [
        ({"patience": 2}, [3, 1, 2, 2, 0], 2),
        ({"patience": 9}, [3, 1, 2, 2], 2),
        ({"patience": 9}, [3, 2, 1], 3),
        ({"patience": 2, "baseline": 0.1}, [3, 2, 2, 2], 2),
        ({"patience": 2}, [NAN, NAN], 1),
        ({"patience": 2}, [NAN, 2, 3, 3], 2),
        ({"patience": 2, "start_from_epoch": 2}, [0, 0, 4, 3, 3, 3], 4),
        ({"patience": 2, "mode": "max"}, [1, 2, 0, 0], 2),
    ],
)
def test_best_weights_come_back_however_training_ends(options, figures, kept):
    model = FakeModel()
    stop = cb.EarlyStopping(restore_best_weights=True, **options)
    fit(model, [stop], figures)
    assert model.weight == kept == stop.best_epoch + 1


def test_best_weights_come_back_after_an_interruption():
    model = FakeModel()
    stop = cb.EarlyStopping(patience=9, restore_best_weights=True)
    fit(model, [stop], [3, 1, 2, 0], interrupt_after=2)
    assert model.weight == 2 and stop.best == 1


def test_early_stopping_starts_afresh_in_the_next_fit():
    model, stop = FakeModel(), cb.EarlyStopping(patience=1, restore_best_weights=True)
    fit(model, [stop], [1, 2, 3])
    assert len(fit(model, [stop], [9, 8, 7, 8, 0]).epoch) == 4
    assert (stop.best, stop.best_epoch, model.weight) == (7, 2, 3)


def test_early_stopping_says_what_it_did(capsys):
    stop = cb.EarlyStopping(patience=1, verbose=1, restore_best_weights=True)
    fit(FakeModel(), [stop], [1, 2, 3])
    assert capsys.readouterr().out == (
        "Epoch 2: early stopping\nRestoring the weights of the best epoch: 1\n"
    )


# ReduceLROnPlateau

PLATEAUS = [
    # options, figures, learning rate after each epoch
    ({"patience": 1}, [3, 3, 3, 1, 1], [1, 0.1, 0.01, 0.01, 0.001]),
    ({"patience": 2}, [3, 3, 3, 3, 3], [1, 1, 0.1, 0.1, 0.01]),
    ({"patience": 2}, [3, 3, 2, 2, 2], [1, 1, 1, 1, 0.1]),
    ({"patience": 1, "min_delta": 0.5}, [3, 2.6, 2.4, 2.2], [1, 0.1, 0.1, 0.01]),
    ({"patience": 1, "min_delta": 0}, [3, 2.9, 2.8, 2.8], [1, 1, 1, 0.1]),
    ({"patience": 1}, [3, 2.99995, 2], [1, 0.1, 0.1]),
    ({"patience": 1, "cooldown": 2}, [3] * 7, [1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]),
    ({"patience": 2, "cooldown": 2}, [3] * 7, [1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]),
    ({"patience": 1, "min_lr": 0.05}, [3] * 4, [1, 0.1, 0.05, 0.05]),
    ({"patience": 1, "factor": 0.5}, [3] * 4, [1, 0.5, 0.25, 0.125]),
    ({"patience": 1, "mode": "max"}, [1, 2, 2, 3], [1, 1, 0.1, 0.1]),
    ({"patience": 0}, [3, 3, 2], [1, 0.1, 0.1]),
    ({"patience": 1}, [NAN, 3, NAN], [0.1, 0.1, 0.01]),
]


def rates(model, callback, figures):
    seen = []
    note = cb.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(model.optimizer.learning_rate)
    )
    history = fit(model, [callback, note], figures)
    return seen, history


@pytest.mark.parametrize(("options", "figures", "expected"), PLATEAUS)
def test_plateaus(options, figures, expected):
    seen, history = rates(FakeModel(), cb.ReduceLROnPlateau(**options), figures)
    assert seen == pytest.approx(expected)
    # Each epoch's figure is the rate it was trained with.
    assert history.history["learning_rate"] == pytest.approx([1.0, *expected[:-1]])


def test_plateaus_start_afresh_in_the_next_fit(capsys):
    model, reduce = FakeModel(), cb.ReduceLROnPlateau(patience=1, verbose=1)
    rates(model, reduce, [1, 1])
    assert rates(model, reduce, [9, 8])[0] == pytest.approx([0.1, 0.1])
    assert capsys.readouterr().out == "Epoch 2: learning rate reduced to 0.1\n"


@pytest.mark.parametrize("factor", [1.0, 1.5, -0.1])
def test_factors_that_do_not_reduce(factor):
    with pytest.raises(ValueError, match=rf"factor in \[0, 1\), got {factor}"):
        cb.ReduceLROnPlateau(factor=factor)


# LearningRateScheduler


def test_schedule_of_epoch_and_rate(capsys):
    model = FakeModel()
    halve = cb.LearningRateScheduler(lambda epoch, lr: lr / 2 if epoch else lr, verbose=1)
    seen, history = rates(model, halve, [1, 1, 1])
    assert seen == history.history["learning_rate"] == [1.0, 0.5, 0.25]
    assert capsys.readouterr().out.splitlines()[1] == "Epoch 2: learning rate set to 0.5"


def test_schedule_of_the_epoch_alone():
    seen, _ = rates(FakeModel(), cb.LearningRateScheduler(lambda epoch: 10.0**-epoch), [1, 1, 1])
    assert seen == pytest.approx([1.0, 0.1, 0.01])


@pytest.mark.parametrize("returned", [None, "0.1", True, [0.1], 1j])
def test_schedules_return_numbers(returned):
    scheduler = cb.LearningRateScheduler(lambda epoch, lr: returned)
    with pytest.raises(TypeError, match=r"schedule returns a number, got .* in epoch 0"):
        fit(FakeModel(), [scheduler], [1])


def test_an_error_inside_a_schedule_is_not_hidden():
    with pytest.raises(TypeError, match="unsupported operand"):
        fit(FakeModel(), [cb.LearningRateScheduler(lambda epoch, lr: lr + None)], [1])
    with pytest.raises(TypeError, match=r"schedule is a function of \(epoch, learning_rate\)"):
        cb.LearningRateScheduler(0.1)


# ModelCheckpoint


def checkpoint(*args, **kwargs):
    return cb.ModelCheckpoint(*args, save_weights_only=True, **kwargs)


def test_checkpoints_fill_in_their_paths(tmp_path):
    model = FakeModel()
    save = checkpoint(tmp_path / "new" / "{epoch:02d}-{val_loss:.2f}.safetensors")
    fit(model, [save], [0.5, 0.256])
    assert model.saved == {
        str(tmp_path / "new" / "01-0.50.safetensors"): 1,
        str(tmp_path / "new" / "02-0.26.safetensors"): 2,
    }
    assert (tmp_path / "new").is_dir()


def test_checkpoint_path_with_an_unknown_figure():
    with pytest.raises(ValueError, match="no 'val_acc': use epoch, val_loss"):
        fit(FakeModel(), [checkpoint("{val_acc}.npz")], [1.0])


@pytest.mark.parametrize(
    ("options", "figures", "saved"),
    [
        ({}, [3, 4, 2, 2, 1], [1, 3, 5]),
        ({"mode": "max"}, [3, 4, 2, 5], [1, 2, 4]),
        ({"monitor": "val_accuracy"}, [{"val_accuracy": v} for v in (0.5, 0.4, 0.6)], [1, 3]),
        ({"initial_value_threshold": 2.0}, [3, 2, 1.9, 1.8], [3, 4]),
        ({}, [NAN, 3, NAN, 2], [2, 4]),
        ({}, [{"val_loss": 2.0}, {"loss": 1.0}, {"val_loss": 1.0}], [1, 3]),
    ],
)
def test_best_only(options, figures, saved):
    model = FakeModel()
    fit(model, [checkpoint("{epoch}.npz", save_best_only=True, **options)], figures)
    assert sorted(model.saved) == [f"{epoch}.npz" for epoch in saved]


def test_the_best_is_kept_from_one_fit_to_the_next():
    model, save = FakeModel(), checkpoint("best.npz", save_best_only=True)
    fit(model, [save], [3, 1])
    fit(model, [save], [2, 1.5, 1.2])
    assert model.saved == {"best.npz": 2} and save.best == 1


def test_checkpoints_by_the_batch():
    model = FakeModel()
    fit(model, [checkpoint("{epoch}-{batch}.npz", save_freq=4)], [1, 1, 1], batches=3)
    assert list(model.saved) == ["2-1.npz", "3-2.npz"]


def test_checkpoints_say_what_they_do(capsys):
    save = checkpoint("{epoch}.npz", save_best_only=True, verbose=1)
    fit(FakeModel(), [save], [0.5, 0.7, 0.25])
    assert capsys.readouterr().out == (
        "Epoch 1: val_loss improved from the start to 0.50000, saved 1.npz\n"
        "Epoch 2: val_loss did not improve from 0.50000\n"
        "Epoch 3: val_loss improved from 0.50000 to 0.25000, saved 3.npz\n"
    )
    fit(FakeModel(), [checkpoint("a.npz", verbose=1)], [0.5])
    assert capsys.readouterr().out == "Epoch 1: saved a.npz\n"


def test_whole_models_are_saved_through_save():
    model = FakeModel()
    with pytest.raises(TypeError, match="FakeModel does not have: pass save_weights_only=True"):
        fit(model, [cb.ModelCheckpoint("model.lamina")], [1.0])
    model.save = lambda path, overwrite: model.saved.update({path: "whole"})
    fit(model, [cb.ModelCheckpoint("model.lamina")], [1.0])
    assert model.saved == {"model.lamina": "whole"}


def test_wrong_arguments_of_checkpoints():
    with pytest.raises(ValueError, match=r"ends in \.safetensors or \.npz, got 'w\.weights\.h5'"):
        checkpoint("w.weights.h5")
    for save_freq in ("batch", 0, 2.5):
        with pytest.raises(ValueError, match="'epoch' or a number of batches"):
            checkpoint("w.npz", save_freq=save_freq)
    with pytest.raises(ValueError, match="pass mode='min' or mode='max'"):
        checkpoint("w.npz", monitor="quality", save_best_only=True)
    checkpoint("w.npz", monitor="quality")


def test_a_failed_save_is_tried_again_at_the_next_worse_value():
    model, save = FakeModel(), checkpoint("best.npz", save_best_only=True)

    def full(path, overwrite):
        raise OSError("no space left")

    model.save_weights = full
    with pytest.raises(OSError, match="no space left"):
        fit(model, [save], [1.0])
    assert save.best is None


# CSVLogger


def read(path, separator=","):
    with open(path, newline="") as file:
        return list(csv.reader(file, delimiter=separator))


def test_csv(tmp_path):
    path = tmp_path / "runs" / "log.csv"
    fit(FakeModel(), [cb.CSVLogger(path)], [{"loss": 0.1, "accuracy": 1 / 3}, {"loss": NAN}])
    assert path.read_text() == f"epoch,accuracy,loss\n0,{1 / 3!r},0.1\n1,NA,nan\n"


def test_csv_separator_and_replacing(tmp_path):
    path = tmp_path / "log.csv"
    for _ in range(2):
        fit(FakeModel(), [cb.CSVLogger(path, separator=";")], [{"loss": 1.5}])
    assert path.read_text() == "epoch;loss\n0;1.5\n"


def test_csv_append_goes_on_under_the_header(tmp_path):
    path = tmp_path / "log.csv"
    logger = cb.CSVLogger(path, append=True)
    fit(FakeModel(), [logger], [{"loss": 2.0, "accuracy": 0.5}])
    fit(FakeModel(), [logger], [{"accuracy": 0.75, "loss": 1.0}], initial_epoch=1)
    fit(FakeModel(), [cb.CSVLogger(path, append=True)], [{"loss": 0.5}], initial_epoch=2)
    assert path.read_text() == "epoch,accuracy,loss\n0,0.5,2.0\n1,0.75,1.0\n2,NA,0.5\n"


def test_csv_figures_that_come_later_add_columns(tmp_path):
    path = tmp_path / "log.csv"
    fit(FakeModel(), [cb.CSVLogger(path)], [{"loss": 2.0}, {"loss": 1.0, "val_loss": 1.5}])
    assert read(path) == [["epoch", "loss", "val_loss"], ["0", "2.0", "NA"], ["1", "1.0", "1.5"]]


def test_csv_is_complete_after_each_epoch(tmp_path):
    path, sizes = tmp_path / "log.csv", []
    look = cb.LambdaCallback(on_epoch_end=lambda epoch, logs: sizes.append(len(read(path))))
    fit(FakeModel(), [cb.CSVLogger(path), look], [1, 2, 3])
    assert sizes == [2, 3, 4]


def test_csv_has_the_learning_rate_wherever_it_stands_in_the_list(tmp_path):
    path = tmp_path / "log.csv"
    reduce = cb.ReduceLROnPlateau(patience=1)
    fit(FakeModel(), [cb.CSVLogger(path), reduce], [3, 3, 3])
    assert [row[1] for row in read(path)] == ["learning_rate", "1.0", "1.0", "0.1"]


# TerminateOnNaN


@pytest.mark.parametrize("loss", [NAN, INF, -INF])
def test_divergence_ends_training(loss, capsys):
    model = FakeModel()
    history = fit(model, [cb.TerminateOnNaN()], [{"loss": 1.0}, {"loss": loss}, {"loss": 1.0}])
    assert history.epoch == [0, 1] and model.stop_training
    assert capsys.readouterr().out.startswith(
        f"training stopped: the loss is {loss} after batch 1 of epoch 2: lower the learning rate"
    )


def test_divergence_as_an_error():
    with pytest.raises(RuntimeError, match="the loss is nan after batch 1 of epoch 1"):
        fit(FakeModel(), [cb.TerminateOnNaN(raise_error=True)], [{"loss": NAN}])


def test_no_divergence(capsys):
    assert fit(FakeModel(), [cb.TerminateOnNaN()], [{"loss": 1.0}, {}]).epoch == [0, 1]
    assert capsys.readouterr().out == ""


# History


def test_history():
    history = fit(FakeModel(), [], [{"loss": 2.0, "val_loss": 3.0}, {"loss": 1.0}])
    assert history.epoch == [0, 1]
    assert history.history == {"loss": [2.0, 1.0], "val_loss": [3.0]}
    assert history.params == {"epochs": 2}


def test_history_starts_afresh_in_the_next_fit():
    history = cb.History()
    fit(FakeModel(), [history], [1, 2])
    fit(FakeModel(), [history], [3])
    assert history.history == {"val_loss": [3]} and history.epoch == [0]


def test_history_in_words():
    history = fit(FakeModel(), [], [{"loss": 2.0, "accuracy": 0.5}, {"loss": 1.0, "accuracy": 0.4}])
    assert repr(history) == "<History of 2 epochs: loss 1, accuracy 0.4>"
    assert repr(fit(FakeModel(), [], [{"loss": 0.51234}])) == "<History of 1 epoch: loss 0.5123>"
    assert repr(cb.History()) == "<History of no epochs>"


def test_history_is_drawn(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    pytest.importorskip("lamina.plotting")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    history = fit(FakeModel(), [], [{"loss": 2.0, "accuracy": 0.5}, {"loss": 1.0, "accuracy": 0.4}])
    history.plot(["accuracy"], path=tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


# State


def as_plain(value):
    """Check that a state is made of plain values and arrays, and copy it."""
    if isinstance(value, dict):
        assert all(type(key) is str for key in value)
        return {key: as_plain(v) for key, v in value.items()}
    if isinstance(value, list):
        return [as_plain(v) for v in value]
    assert value is None or type(value) in (bool, int, float, str, np.ndarray)
    assert type(value) is not float or math.isfinite(value)
    return value


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5])
def test_a_run_goes_on_exactly_where_it_stopped(cut):
    figures = [5.0, 4.0, 4.5, 4.5, 3.0, 3.5, 3.5, 3.5]

    def make():
        return [
            cb.ReduceLROnPlateau(patience=2, cooldown=1),
            cb.EarlyStopping(patience=3, restore_best_weights=True),
            checkpoint("best.npz", save_best_only=True),
            cb.CallbackList([cb.EarlyStopping(patience=7)]),
        ]

    whole_model, whole = FakeModel(), make()
    history = fit(whole_model, whole, figures)

    model = FakeModel()
    first = cb.CallbackList(make(), add_history=True, model=model)
    first.on_train_begin()
    for epoch in range(cut):
        model.weight = epoch + 1
        first.on_epoch_end(epoch, first.epoch_logs({"val_loss": figures[epoch]}))
    state = as_plain(first.state())
    assert not model.stop_training

    second = cb.CallbackList(make(), add_history=True, model=model)
    second.on_train_begin()
    second.set_state(state)
    for epoch in range(cut, len(figures)):
        model.weight = epoch + 1
        second.on_epoch_end(epoch, second.epoch_logs({"val_loss": figures[epoch]}))
    second.on_train_end()
    assert second.history.history == history.history and second.history.epoch == history.epoch
    assert model.weight == whole_model.weight == 5
    assert model.saved == whole_model.saved
    assert model.optimizer.learning_rate == whole_model.optimizer.learning_rate


def test_a_state_of_other_callbacks_is_refused():
    state = cb.CallbackList([cb.EarlyStopping()]).state()
    with pytest.raises(ValueError, match="saved with, EarlyStopping, got History"):
        cb.CallbackList([cb.History()]).set_state(state)


# Against Keras, on random figures


def keras_callbacks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras").callbacks


def run_theirs(callback, model, figures):
    callback.set_model(model)
    callback.on_train_begin()
    seen = []
    for epoch, value in enumerate(figures):
        model.weight = epoch + 1
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {"val_loss": value})
        seen.append(model.optimizer.learning_rate)
        if model.stop_training:
            break
    callback.on_train_end()
    return seen, model.weight


@pytest.mark.parametrize("seed", range(40))
def test_keras_does_the_same(seed):
    keras = keras_callbacks()
    draw = random.Random(seed)
    values = [1.0, 1.5, 2.0, 2.5, 3.0, 2.9999, INF, NAN]
    # To Keras a NaN that comes first is a best value which nothing ever beats.
    figures = [draw.choice(values[:-1] if epoch < 3 else values) for epoch in range(15)]
    stopping = {
        "monitor": "val_loss",
        "min_delta": draw.choice([0, 0.6, -0.2]),
        "patience": draw.randrange(5),
        "mode": draw.choice(["min", "max"]),
        "baseline": draw.choice([None, 1.2, 2.2]),
        "restore_best_weights": draw.random() < 0.7,
        "start_from_epoch": draw.randrange(3),
    }
    plateau = {
        "factor": draw.choice([0.1, 0.5]),
        "patience": draw.randrange(1, 4),
        "mode": draw.choice(["min", "max"]),
        "min_delta": draw.choice([1e-4, 0.6]),
        "cooldown": draw.randrange(4),
        "min_lr": draw.choice([0.0, 0.05]),
    }
    for name, options in (("EarlyStopping", stopping), ("ReduceLROnPlateau", plateau)):
        theirs = run_theirs(getattr(keras, name)(**options), FakeModel(), figures)
        ours = run_theirs(getattr(cb, name)(**options), FakeModel(), figures)
        assert ours[1] == theirs[1], (name, options, figures)
        assert ours[0] == pytest.approx(theirs[0]), (name, options, figures)


def test_names_order_and_defaults_are_those_of_keras():
    from inspect import signature

    keras = keras_callbacks()
    for name in cb.__all__:
        theirs = signature(getattr(keras, name)).parameters.values()
        ours = signature(getattr(cb, name)).parameters.values()
        extra = {"kwargs", "params", "add_progbar"}
        assert [(p.name, p.default) for p in ours if p.name not in extra] == [
            (p.name, p.default) for p in theirs if p.name not in extra
        ], name


@pytest.mark.parametrize("given", [cb.EarlyStopping, [cb.EarlyStopping]])
def test_a_class_that_is_no_callback_yet(given):
    with pytest.raises(TypeError, match=r"the class EarlyStopping: write EarlyStopping\(\.\.\.\)"):
        cb.CallbackList(given)


@pytest.mark.parametrize("given", [print, [print], 3, [dict]])
def test_what_is_no_callback(given):
    with pytest.raises(TypeError, match="instances of lamina.callbacks.Callback.*LambdaCallback"):
        cb.CallbackList(given)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (cb.EarlyStopping, "patience"),
        (cb.EarlyStopping, "start_from_epoch"),
        (cb.ReduceLROnPlateau, "patience"),
        (cb.ReduceLROnPlateau, "cooldown"),
    ],
)
@pytest.mark.parametrize("wrong", ["3", -1, 2.5, True, None])
def test_numbers_of_epochs_are_whole(kind, name, wrong):
    message = f"{kind.__name__} needs {name} as a whole number from 0 on, got {wrong!r}"
    with pytest.raises(ValueError, match=message):
        kind(**{name: wrong})


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (cb.EarlyStopping, "min_delta"),
        (cb.EarlyStopping, "baseline"),
        (cb.ReduceLROnPlateau, "factor"),
        (cb.ReduceLROnPlateau, "min_lr"),
    ],
)
def test_amounts_are_numbers(kind, name):
    with pytest.raises(TypeError, match=f"{kind.__name__} expects {name} to be a number, got '1'"):
        kind(**{name: "1"})


@pytest.mark.parametrize(
    ("monitor", "logs", "remedy"),
    [
        ("val_acc", ["loss", "val_loss", "val_accuracy"], "did you mean 'val_accuracy'"),
        ("val_loss", ["loss", "accuracy"], "accuracy, loss, or pass validation_data"),
        ("val_auc", ["loss", "val_loss"], "monitor one of loss, val_loss$"),
    ],
)
def test_a_figure_that_is_not_there(monitor, logs, remedy):
    with pytest.warns(UserWarning, match=remedy):
        fit(FakeModel(), [cb.EarlyStopping(monitor)], [dict.fromkeys(logs, 1.0)])
