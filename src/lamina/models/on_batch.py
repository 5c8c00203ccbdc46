"""Single batches: training, testing and predicting on one, for loops of one's own."""

from lamina import backend
from lamina.autograd import no_grad
from lamina.models.feeding import Feed, is_accepted


class OnBatch:
    """The part of a ``Model`` that works on one batch at a time; see there."""

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """One step of training on one batch.

        Returns:
            the loss before the step, or a list of it and the metrics, of this batch alone.
        """
        self._require_compiled("train_on_batch", loss=True)
        x, y, weights = Feed(self, self.loss).batch(x, y, sample_weight, class_weight)
        backend.memory.keep()
        with self.backend.scope(), backend.quiet():
            self._figures.reset()
            self._train_step(x, y, weights)
            found = self._figures.results()
        return found if return_dict else in_order(found)

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
        return found if return_dict else in_order(found)

    def predict_on_batch(self, x):
        """The outputs for one batch, as a NumPy array."""
        if not is_accepted(self, x):
            x, _, _ = Feed(self, None, only_x=True).batch(x)
        with self.backend.scope(), no_grad():
            outputs = self._outputs(x)
            with backend.allow_sync():
                host = self.backend.to_numpy(outputs)
            return backend.get("numpy").xp.asarray(host, copy=True)


def in_order(found: dict):
    """Figures as Keras returns them: the loss, or a list of it and the metrics."""
    values = list(found.values())
    return values[0] if len(values) == 1 else values
