"""Training, evaluating and predicting: fit and its kin, as Keras users know them.

``fit`` draws batches from a ``Feed`` (``feeding.py``), does steps (``step.py``), keeps figures
(``figures.py``) and tells callbacks and the progress bar. Nothing waits for the device but a look
at the figures. Single batches are in ``on_batch.py``.
"""

from lamina import backend
from lamina.autograd import no_grad
from lamina.backend.random import Generator
from lamina.data import is_iterable_of_batches
from lamina.errors import warn
from lamina.layers import _passes
from lamina.layers._options import unknown_option, whole_number
from lamina.models.callbacks import CallbackList
from lamina.models.compiled import Compiled
from lamina.models.epochs import Epochs
from lamina.models.exhausted import out_of_memory
from lamina.models.feeding import Feed, split_off, unpacked
from lamina.models.forward import outputs_of
from lamina.models.hints import warn_of_divergence, warn_of_inputs, warn_of_outputs, warn_of_scale
from lamina.models.interrupt import Interruptible
from lamina.models.on_batch import OnBatch, in_order
from lamina.models.progress import ProgressBar


class Trainer(Compiled, OnBatch):
    """What a model can be asked to do with data. See ``Model``."""

    stop_training = False
    trained_on = None  # the largest of the first inputs that ``fit`` was given
    told_of_scale = False
    _epochs_seen = 0

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
        with self.backend.scope(), backend.quiet():
            self._prepare()
            warn_of_outputs(self, self.loss)
            warn_of_inputs(self, source)
            warn_of_scale(self, source)
            warn_of_scale(self, held)
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
            batches = Epochs(source, self._shuffled if shuffle else None, steps_per_epoch)
            logs, diverged = {}, False
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
                        with backend.allow_sync():  # once an epoch it is time to read
                            calls.epoch_logs(logs)
                            bar.finish(steps, logs)
                            calls.on_epoch_end(epoch, logs)
                        if not (diverged or self.stop_training):
                            diverged = warn_of_divergence(logs, epoch)
                        if self.stop_training:
                            break
            except KeyboardInterrupt:
                bar.close()
                if bar.verbose:
                    print(
                        "Interrupted: the model stands as the last whole step left it, and fit "
                        "returns the history so far."
                    )
            finally:
                bar.close()
            calls.on_train_end(logs)
        return calls.history

    def _shuffled(self, rows: int):
        """The order of the next epoch."""
        order = Generator(self.seed, "shuffle", self._epochs_seen).permutation(rows)
        self._epochs_seen += 1
        return order

    def _validate(self, held, calls, steps, interrupt) -> dict:
        """The figures of the validation data, as an epoch's logs name them."""
        found = self._run_test(held, calls, None, steps, interrupt)
        if not found:
            warn(
                "the validation data had no batches left: pass validation_steps to share them out, "
                "or something that can be iterated again"
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
            if interrupt.pressed:
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
                lambda rows: step.gradients(x[rows, ...], y[rows, ...], _rows(weights, rows)),
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
        for part in parts:
            if part.updates:
                _passes.commit(part.updates)

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
            warn_of_scale(self, source)
            calls = CallbackList(
                callbacks, model=self, steps=steps or source.steps, verbose=verbose
            )
            bar = ProgressBar(verbose)
            bar.begin(_least(steps, source.steps))
            found = self._run_test(source, calls, bar, steps)
            bar.close()
        if not found:
            raise ValueError("there was no batch to evaluate on: pass an iterable that yields some")
        return found if return_dict else in_order(found)

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
            raise out_of_memory(error, self, x.shape[0], lambda rows: self(x[rows, ...])) from None

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
            warn_of_scale(self, source)
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
                with backend.allow_sync():
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
            return outputs_of(self, x)
        except MemoryError as error:
            raise out_of_memory(error, self, x.shape[0], lambda rows: self(x[rows, ...])) from None


class _Workers:
    """How the optimizer shares its blocks among the library's threads."""

    map_blocks = staticmethod(backend.workers.run)


_WORKERS = _Workers()


def _steps(method: str, name: str, value) -> int | None:
    return None if value is None else whole_number(method, name, value)


def _rows(weights, rows):
    return None if weights is None else weights[rows, ...]


def _is_due(epoch: int, frequency) -> bool:
    if hasattr(frequency, "__contains__"):
        return epoch + 1 in frequency
    return (epoch + 1) % whole_number("fit", "validation_freq", frequency) == 0


def _least(a, b):
    return b if a is None else a if b is None else min(a, b)
