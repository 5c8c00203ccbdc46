"""Training, evaluating and predicting: compile, fit and their kin, as Keras users know them.

``fit`` draws batches from a ``Feed`` (``feeding.py``), does steps (``step.py``), keeps figures
(``figures.py``) and tells callbacks and the progress bar. Nothing waits for the device but a look
at the figures.
"""

import warnings

from lamina import backend, losses, optimizers
from lamina.autograd import no_grad
from lamina.backend.random import Generator
from lamina.data import is_iterable_of_batches
from lamina.layers import _passes
from lamina.layers._options import unknown_option, whole_number
from lamina.models.callbacks import CallbackList
from lamina.models.exhausted import out_of_memory
from lamina.models.feeding import Feed, split_off, unpacked
from lamina.models.figures import Figures
from lamina.models.interrupt import Interruptible
from lamina.models.progress import ProgressBar
from lamina.models.step import Step


class Trainer:
    """What a model can be asked to do with data. See ``Model``."""

    stop_training = False
    optimizer = None
    _step = None
    _epochs_seen = 0

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
        **old,
    ) -> None:
        """Say how to train.

        Args:
            optimizer: a name or an optimizer.
            loss: a name, a loss, or a function (y_true, y_pred) of one value per sample.
            loss_weights: a factor of the loss.
            metrics: names, metrics, or functions (y_true, y_pred), to watch.
            weighted_metrics: metrics that sample and class weights apply to.
            run_eagerly, steps_per_execution, jit_compile, auto_scale_loss: accepted for Keras's
                sake; nothing is compiled here, so they change nothing.

        Raises:
            ValueError: for an unknown name, with the nearest right one.
        """
        if old:
            raise unknown_option("compile", old, self.compile)
        chosen = optimizers.get(optimizer)
        loss = None if loss is None else losses.get(loss)
        if loss is not None and loss.reduction in (None, "none"):
            raise ValueError(
                f'the loss "{loss.name}" has reduction=None, but training needs one number: '
                'use reduction="sum_over_batch_size"'
            )
        figures = Figures(loss, metrics, weighted_metrics)
        self._loss_weight = _loss_weight(loss_weights)
        self.optimizer = chosen
        self.loss = loss
        self._figures = figures
        self._step = Step(self, loss, self._loss_weight)
        self._compiled = {
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }

    def __getstate__(self) -> dict:
        """What ``copy`` and ``pickle`` keep: all but what the first step makes anew."""
        state = {**vars(self), "_step": None, "_figures": None}
        if self._step is not None:
            kind, settings = type(self.optimizer), self.optimizer.get_config()
            state["optimizer"] = kind, settings, self.optimizer.state(), self._step.number
        return state

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        if isinstance(self.optimizer, tuple):
            kind, settings, moved, number = self.optimizer
            self.compile(kind.from_config(settings), **self._compiled)
            self.optimizer.set_state(moved)
            self._step.number = number

    def build_from(self, x) -> None:
        """Build for the samples of the array ``x``, or check that they fit what was built."""
        if not self.built:
            self.build_for((None, *x.shape[1:]))
        self.check_input(x.shape)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
        **old,
    ):
        """Train.

        Args:
            x: inputs: an array of any backend, lists, pandas, ``numpy.memmap``, or an iterable of
                batches (x, y) or (x, y, sample_weight).
            y: targets, one row per sample.
            batch_size: samples in a step; 32 where None.
            epochs: the number of the last epoch; with ``initial_epoch`` 0, how many there are.
            verbose: 0 silent, 1 a progress bar, 2 a line an epoch; "auto" is 1.
            callbacks: a list of ``lamina.callbacks``.
            validation_split: the share of the data, taken from its end before shuffling, that is
                not trained on but evaluated after every epoch.
            validation_data: (x, y), (x, y, sample_weight) or an iterable of batches; goes before
                ``validation_split``.
            shuffle: whether each epoch takes the samples in a new random order.
            class_weight: a dict from class number to the weight of its samples in the loss.
            sample_weight: the weight of each sample in the loss.
            initial_epoch: the epoch to begin with, to go on with an earlier run.
            steps_per_epoch: batches in an epoch; None is all there are.
            validation_steps, validation_batch_size: the same for validation.
            validation_freq: validate every so many epochs, or in the epochs of a list.

        Returns:
            a ``History``: ``.history`` maps each figure's name to its values by epoch. Training
            figures are means over the epoch, while the model was changing.

        Raises:
            RuntimeError: before ``compile``.
            ValueError, TypeError: for data that does not fit; the model is then as it was.

        Ctrl-C ends the run after the step in progress and returns the history so far.
        """
        if old:
            raise unknown_option("fit", old, self.fit)
        self._require_compiled("fit", loss=True)
        epochs = whole_number("fit", "epochs", epochs, 0)
        initial_epoch = whole_number("fit", "initial_epoch", initial_epoch, 0)
        steps_per_epoch = _steps("fit", "steps_per_epoch", steps_per_epoch)
        validation_steps = _steps("fit", "validation_steps", validation_steps)
        feed = Feed(self, self.loss)
        held = validation = None
        if validation_data is not None:
            validation = unpacked(validation_data)
        elif validation_split:
            (x, y, sample_weight), validation = split_off(x, y, sample_weight, validation_split)
        with self.provisional():
            source = feed.source(x, y, sample_weight, batch_size, class_weight)
            if validation is not None:
                brings_its_own = is_iterable_of_batches(validation[0])
                size = None if brings_its_own else validation_batch_size or batch_size
                held = feed.source(*validation, size)
        backend.memory.keep()
        with self.backend.scope():
            self._prepare()
            calls = CallbackList(
                callbacks,
                add_history=True,
                model=self,
                epochs=epochs,
                steps=steps_per_epoch or source.steps,
                verbose=verbose,
            )
            bar = ProgressBar(verbose)
            self.stop_training = False
            batches = _Epochs(self, source, shuffle, steps_per_epoch)
            logs = {}
            calls.on_train_begin()
            try:
                with Interruptible() as interrupt:
                    for epoch in range(initial_epoch, epochs):
                        calls.on_epoch_begin(epoch)
                        bar.begin(batches.steps, f"Epoch {epoch + 1}/{epochs}")
                        logs, steps = self._train_epoch(batches, calls, bar, interrupt)
                        if not steps:
                            break
                        if held is not None and _is_due(epoch, validation_freq):
                            bar.update(steps, logs)
                            logs |= self._validate(held, calls, validation_steps, interrupt)
                        calls.epoch_logs(logs)
                        bar.finish(steps, logs)
                        calls.on_epoch_end(epoch, logs)
                        if self.stop_training:
                            break
            except KeyboardInterrupt:
                bar.close()
                if bar.verbose:
                    print("Interrupted: the model stands as the last whole step left it.")
            finally:
                bar.close()
            calls.on_train_end(logs)
        return calls.history

    def _validate(self, held, calls, steps, interrupt) -> dict:
        """The figures of the validation data, as an epoch's logs name them."""
        found = self._run_test(held, calls, None, steps, interrupt)
        if not found:
            warnings.warn(
                "the validation data had no batches left: pass validation_steps to share them out, "
                "or something that can be iterated again",
                stacklevel=3,
            )
        return {f"val_{name}": value for name, value in found.items()}

    def _train_epoch(self, batches, calls, bar, interrupt):
        """One epoch: (figures at its end, number of steps)."""
        figures = self._figures
        figures.reset()
        begin = calls.wants("on_train_batch_begin")
        end = calls.wants("on_train_batch_end")
        step = 0
        for x, y, weights in batches:
            if begin:
                calls.on_train_batch_begin(step)
            self._train_step(x, y, weights)
            step += 1
            if end:
                calls.on_train_batch_end(step - 1, figures.results())
            interrupt.check()
            if bar.due(step):
                bar.update(step, figures.results())
            if self.stop_training:
                break
        return figures.results(), step

    def _train_step(self, x, y, weights) -> None:
        step, figures = self._step, self._figures
        if step.refresh():
            self.optimizer.build(step.parameters)
        try:
            parts = step.gradients(x, y, weights)
        except MemoryError as error:
            told = out_of_memory(
                error,
                self,
                x.shape[0],
                lambda rows: step.gradients(x[rows], y[rows], _rows(weights, rows)),
            )
            raise told from None
        loss = parts[0].loss
        for part in parts[1:]:
            loss = loss + part.loss
        figures.add_loss(loss, x.shape[0])
        for part in parts:
            figures.add_outputs(part.targets, part.outputs, part.weights)
        # Last, so that a metric which fails leaves the weights as they were.
        self.optimizer.apply_shards([part.gradients for part in parts], workers=_WORKERS)

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
        **old,
    ):
        """Loss and metrics on data, without training.

        Args:
            x, y, batch_size, verbose, sample_weight, callbacks: as in ``fit``.
            steps: how many batches; None is all there are.
            return_dict: whether to give the figures by name.

        Returns:
            the loss; with metrics a list of the loss and the metrics, in the order of ``compile``.
        """
        if old:
            raise unknown_option("evaluate", old, self.evaluate)
        self._require_compiled("evaluate")
        steps = _steps("evaluate", "steps", steps)
        source = Feed(self, self.loss).source(x, y, sample_weight, batch_size)
        with self.backend.scope():
            self._prepare()
            calls = CallbackList(
                callbacks, model=self, steps=steps or source.steps, verbose=verbose
            )
            bar = ProgressBar(verbose)
            bar.begin(_least(steps, source.steps))
            found = self._run_test(source, calls, bar, steps)
            bar.close()
        if not found:
            raise ValueError("there was no batch to evaluate on: pass an iterable that yields some")
        return found if return_dict else _in_order(found)

    def _run_test(self, source, calls, bar, steps, interrupt=None) -> dict:
        figures = self._figures
        figures.reset()
        begin, end = calls.wants("on_test_batch_begin"), calls.wants("on_test_batch_end")
        calls.on_test_begin()
        step = 0
        with no_grad():
            for x, y, weights in source.epoch():
                if begin:
                    calls.on_test_batch_begin(step)
                outputs, loss = self._test_step(x, y, weights)
                figures.add_loss(loss, x.shape[0])
                figures.add_outputs(y, outputs, weights)
                step += 1
                if end:
                    calls.on_test_batch_end(step - 1, figures.results())
                if interrupt is not None:
                    interrupt.check()
                if bar is not None and bar.due(step):
                    bar.update(step, figures.results())
                if step == steps:
                    break
        found = figures.results() if step else {}
        if bar is not None:
            bar.finish(step, found)
        calls.on_test_end(found)
        return found

    def _test_step(self, x, y, weights):
        try:
            return self._step.forward(x, y, weights)
        except MemoryError as error:
            raise out_of_memory(error, self, x.shape[0], lambda rows: self(x[rows])) from None

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None, **old):
        """The model's outputs for ``x``, as one NumPy array.

        Args:
            x: inputs, as in ``fit``; of an iterable's batches only the x is used.
            batch_size: samples computed at once; 32 where None.
            verbose, callbacks: as in ``fit``.
            steps: how many batches; None is all there are.
        """
        if old:
            raise unknown_option("predict", old, self.predict)
        steps = _steps("predict", "steps", steps)
        source = Feed(self, None, only_x=True).source(x, batch_size=batch_size)
        place = self.backend
        results = []
        with place.scope(), no_grad():
            calls = CallbackList(
                callbacks, model=self, steps=steps or source.steps, verbose=verbose
            )
            bar = ProgressBar(verbose)
            bar.begin(_least(steps, source.steps))
            calls.on_predict_begin()
            step = 0
            for batch, _, _ in source.epoch():
                calls.on_predict_batch_begin(step)
                outputs = self._outputs(batch)
                results.append(place.to_numpy(outputs))
                step += 1
                calls.on_predict_batch_end(step - 1, {"outputs": outputs})
                if bar.due(step):
                    bar.update(step)
                if step == steps:
                    break
            calls.on_predict_end()
            bar.finish(step)
        if not results:
            raise ValueError(
                "there was no batch to predict from: pass an iterable that yields some"
            )
        host = backend.get("numpy")
        return results[0].copy() if len(results) == 1 else host.xp.concat(results, axis=0)

    def _outputs(self, x):
        """The raw outputs for a raw batch, without recording."""
        try:
            with _passes.Pass():
                return self(x).data
        except MemoryError as error:
            raise out_of_memory(error, self, x.shape[0], lambda rows: self(x[rows])) from None

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """One step of training on one batch.

        Returns:
            the loss before the step, or a list of it and the metrics, of this batch alone.
        """
        self._require_compiled("train_on_batch", loss=True)
        x, y, weights = Feed(self, self.loss).batch(x, y, sample_weight, class_weight)
        backend.memory.keep()
        with self.backend.scope():
            self._figures.reset()
            self._train_step(x, y, weights)
            found = self._figures.results()
        return found if return_dict else _in_order(found)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Loss and metrics of one batch, without training."""
        self._require_compiled("test_on_batch")
        x, y, weights = Feed(self, self.loss).batch(x, y, sample_weight)
        with self.backend.scope(), no_grad():
            self._prepare()
            self._figures.reset()
            outputs, loss = self._step.forward(x, y, weights)
            self._figures.add_loss(loss, x.shape[0])
            self._figures.add_outputs(y, outputs, weights)
            found = self._figures.results()
        return found if return_dict else _in_order(found)

    def predict_on_batch(self, x):
        """The outputs for one batch, as a NumPy array."""
        x, _, _ = Feed(self, None, only_x=True).batch(x)
        with self.backend.scope(), no_grad():
            return backend.get("numpy").xp.asarray(
                self.backend.to_numpy(self._outputs(x)), copy=True
            )

    def reset_metrics(self) -> None:
        """Begin the running figures anew."""
        if self._step is not None:
            self._figures.reset()

    @property
    def metrics_names(self) -> list[str]:
        """The names of the figures that ``evaluate`` returns, once a batch has been seen."""
        return ["loss", *[metric.name for metric, _ in self._figures.metrics or ()]]

    def _prepare(self) -> None:
        if self._step.refresh() or not self.optimizer.built:
            self.optimizer.build(self._step.parameters)

    def _forget_batches(self) -> None:
        """Drop what was kept on a backend that the model has left."""
        if self._step is not None:
            self._step.forget()
            self._figures.forget()

    def _require_compiled(self, method: str, loss: bool = False) -> None:
        if self._step is None:
            raise RuntimeError(
                f"{method} needs to know how to train: call compile(optimizer, loss) before it"
            )
        if loss and self.loss is None:
            raise RuntimeError(f"{method} needs a loss: name one in compile(loss=...)")

    def _shuffled(self, rows: int):
        """The order of the next epoch."""
        order = Generator(self.seed, "shuffle", self._epochs_seen).permutation(rows)
        self._epochs_seen += 1
        return order


def _removed(name: str, today: str):
    def method(self, *args, **kwargs):
        raise AttributeError(f"{name} is gone from Keras and from here: {today}")

    method.__name__ = name
    return method


for _name, _today in {
    "predict_classes": "use predict(x).argmax(axis=-1), or (predict(x) > 0.5) for one sigmoid",
    "predict_proba": "use predict(x)",
    "fit_generator": "pass the generator to fit(x)",
    "evaluate_generator": "pass the generator to evaluate(x)",
    "predict_generator": "pass the generator to predict(x)",
}.items():
    setattr(Trainer, _name, _removed(_name, _today))


class _Epochs:
    """The epochs of a source; each iteration is one of them.

    With ``steps_per_epoch`` an epoch may end within the data, and the next goes on from there.
    """

    def __init__(self, model, source, shuffle, steps_per_epoch):
        self._model, self._source, self._shuffle = model, source, shuffle
        self._per_epoch = steps_per_epoch
        self._rest = None
        self.steps = steps_per_epoch or source.steps

    def _pass(self):
        order = None
        if self._shuffle and self._source.rows is not None:
            order = self._model._shuffled(self._source.rows)
        return iter(self._source.epoch(order))

    def __iter__(self):
        if self._per_epoch is None:
            if getattr(self._source, "is_spent_by_use", False) and self._rest is not None:
                warnings.warn(
                    "the generator had no batches for another epoch: pass steps_per_epoch to share "
                    "them out, or something that can be iterated again",
                    stacklevel=4,
                )
                return
            self._rest = True
            yield from self._pass()
            return
        renewed = self._rest is None
        for _ in range(self._per_epoch):
            if self._rest is None:
                self._rest = self._pass()
            batch = next(self._rest, None)
            if (
                batch is None
                and not renewed
                and not getattr(self._source, "is_spent_by_use", False)
            ):
                self._rest = self._pass()
                batch = next(self._rest, None)
            if batch is None:
                self._rest = (
                    None if not getattr(self._source, "is_spent_by_use", False) else iter(())
                )
                warnings.warn(
                    "the data ran out before steps_per_epoch batches: lower steps_per_epoch, or "
                    "pass more data",
                    stacklevel=4,
                )
                return
            renewed = False
            yield batch


class _Workers:
    """How the optimizer shares its blocks among the library's threads."""

    map_blocks = staticmethod(backend.workers.run)


_WORKERS = _Workers()


def _steps(method: str, name: str, value) -> int | None:
    return None if value is None else whole_number(method, name, value)


def _rows(weights, rows):
    return None if weights is None else weights[rows]


def _loss_weight(given) -> float:
    if given is None:
        return 1.0
    values = list(given.values()) if isinstance(given, dict) else given
    if isinstance(values, list | tuple):
        if len(values) != 1:
            raise ValueError(f"the model has one output, got {len(values)} loss_weights")
        values = values[0]
    return float(values)


def _is_due(epoch: int, frequency) -> bool:
    if hasattr(frequency, "__contains__"):
        return epoch + 1 in frequency
    return (epoch + 1) % whole_number("fit", "validation_freq", frequency) == 0


def _least(a, b):
    return b if a is None else a if b is None else min(a, b)


def _in_order(found: dict):
    values = list(found.values())
    return values[0] if len(values) == 1 else values
