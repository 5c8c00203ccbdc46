"""The figures of a run: the loss and the metrics, kept on the device until somebody looks."""

from lamina import backend, metrics
from lamina.losses import prepare


class Figures:
    """Running means of the loss and the states of the metrics.

    Args:
        loss: the compiled ``Loss``, for resolving ``"accuracy"``.
        wanted: the metrics as given to ``compile``: names, functions, ``Metric`` objects.
        weighted: those that sample weights apply to.
    """

    def __init__(self, loss, wanted, weighted):
        self._loss = loss
        self._wanted = [(m, False) for m in _as_list(wanted)] + [
            (m, True) for m in _as_list(weighted)
        ]
        for identifier, _ in self._wanted:
            if isinstance(identifier, str) and identifier not in _RESOLVED:
                metrics.get(identifier)  # a wrong name is told at compile, not in the first step
        self.metrics = None
        self._place = None
        self._total = self._rows = None

    def reset(self) -> None:
        """Begin anew: with every epoch, and every evaluation."""
        self._total, self._rows = None, 0
        for metric, _ in self.metrics or ():
            metric.reset_state()

    def forget(self) -> None:
        """Drop what lies on a device that the model has left."""
        self.reset()

    def add_loss(self, loss, rows) -> None:
        """Take in the loss of a batch, the mean over ``rows`` samples, as a raw number or None.

        Nothing waits for the device.
        """
        if loss is not None:
            share = loss * rows
            self._total = share if self._total is None else self._total + share
            self._rows += rows

    def add_outputs(self, y, outputs, weights) -> None:
        """Show the metrics the targets, outputs and sample weights of a batch or shard, raw."""
        if not self._wanted or y is None:
            return
        if self.metrics is None:
            self._resolve(y, outputs)
        y = prepare(y, outputs, self._loss)
        for metric, weighted in self.metrics:
            metric.update_state(y, outputs, weights if weighted else None)

    def _resolve(self, y, outputs) -> None:
        found, names = [], set()
        for identifier, weighted in self._wanted:
            metric = metrics.resolve(identifier, tuple(y.shape), tuple(outputs.shape), self._loss)
            if weighted and metric.name in names:
                metric.name = f"weighted_{metric.name}"
            if metric.name in names or metric.name == "loss":
                raise ValueError(
                    f'two metrics are called "{metric.name}": give one of them another name='
                )
            names.add(metric.name)
            metric.reset_state()
            found.append((metric, weighted))
        self.metrics = found

    def results(self) -> dict[str, float]:
        """The figures so far, on the host: this waits for the device."""
        found = {}
        with backend.allow_sync():
            if self._total is not None:
                place = backend.of(self._total)
                found["loss"] = float(place.scalar(self._total)) / self._rows
            for metric, _ in self.metrics or ():
                found[metric.name] = as_number(metric.result())
        return found


_RESOLVED = ("accuracy", "acc", "crossentropy", "ce")


def as_number(result):
    """A metric's result on the host: a float, or a list of them for one result per class."""
    if hasattr(result, "detach"):
        result = result.data
    if not backend.is_array(result):
        return result
    host = backend.of(result).to_numpy(result)
    return host.tolist() if host.ndim else float(host)


def _as_list(given) -> list:
    if given is None:
        return []
    if isinstance(given, list | tuple):
        return list(given)
    return [given]
