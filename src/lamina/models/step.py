"""The training step: a sum over micro-batches.

A batch is cut into shards by a rule that looks at the batch and the model alone. Every shard runs
forward and backward on a tape of its own, on whichever worker is free; the gradients are added in
the order of the shards, and the optimizer moves once. Since neither the cut nor the order depends on
the number of workers, neither do the numbers. The loss is a weighted sum of one value per sample,
so the weights (1/n for a mean, sample weights, class weights) are simply the seed of the sweep.
"""

from lamina import backend
from lamina.autograd import _debug as debug
from lamina.autograd import sweep
from lamina.layers._layer import _Structure
from lamina.layers._passes import Pass
from lamina.losses import prepare
from lamina.models.chain import chain_of

# A shard must be worth handing over: below this many multiplications a batch stays whole.
_WORTH = 1 << 22
_ROWS = 64  # least rows of a shard
_SHARDS = 8  # most shards of a batch
_GRADIENTS = 1 << 28  # most bytes that the shards' gradients may take together


def cut(rows: int, numbers: int) -> list[slice]:
    """The shards of a batch of ``rows`` for a model of so many ``numbers`` in its parameters."""
    shards = min(rows // _ROWS, max(4, rows // (2 * _ROWS)), _SHARDS)
    shards = min(shards, _GRADIENTS // (4 * max(1, numbers)))
    if shards < 2 or rows * numbers < _WORTH:
        return [slice(0, rows)]
    edges = [rows * i // shards for i in range(shards + 1)]
    return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]


class Part:
    """What one shard gave: its share of the loss, its outputs beside the targets, its gradients."""

    __slots__ = ("gradients", "loss", "outputs", "rows", "targets", "weights")


class Step:
    """Forward, loss and backward for one batch of a compiled model.

    Args:
        model: the model.
        loss: a ``Loss``, or None for a model that only predicts.
        weight: a factor of the loss.
    """

    def __init__(self, model, loss, weight=1.0):
        self.model = model
        self.loss = loss
        self._weight = weight
        self.number = 0  # counts steps; names the random streams of each
        self._per_sample = getattr(loss, "per_sample", None)
        self._version = None
        self._seeds = {}

    def refresh(self) -> bool:
        """Look at the model's structure anew where it changed; tells whether it did."""
        if self._version == _Structure.version:
            return False
        model = self.model
        self.parameters = model.trainable_weights
        self._penalized = [p for p in model.weights if p.regularizer is not None]
        self._place = model.backend
        self._chain = chain_of(model, self.loss, self.parameters)
        self._numbers = sum(p.size for p in self.parameters)
        whole = any(layer.uses_whole_batch for layer in model.layers_within())
        self._divisible = self._place.name == "numpy" and not whole
        self._cuts = {}
        self._version = _Structure.version
        return True

    def gradients(self, x, y, weights):
        """The parts of one training step on a batch, in order.

        Args:
            x, y, weights: raw arrays on the model's backend; ``weights`` may be None.
        """
        number, self.number = self.number, self.number + 1
        rows = x.shape[0]
        total = self._weight_total(weights)
        shards = self._cuts.get(rows)
        if shards is None:
            shards = self._cuts[rows] = cut(rows, self._numbers)
        if len(shards) == 1 or not (self._divisible and self._per_sample):
            parts = [self._shard(x, y, weights, rows, total, number, 0)]
        else:
            parts = [None] * len(shards)

            def run(i):
                some = shards[i]
                w = None if weights is None else weights[some]
                parts[i] = self._shard(x[some], y[some], w, rows, total, number, i)

            with backend.blas.one_thread():
                backend.workers.run(run, len(shards))
        if self._penalized:
            self._add_penalties(parts[0])
        return parts

    def _shard(self, x, y, weights, rows, weight_total, number, index) -> Part:
        part = Part()
        part.rows = x.shape[0]
        part.targets = y
        part.weights = weights
        if self._chain is not None and not debug.enabled:
            if self._run_chain(part, x, y, weights, rows, weight_total):
                return part
            self._chain = None
        with Pass(number, index) as current:
            outputs = self.model(x, training=True)
            if not outputs.requires_grad:
                raise ValueError(self._nothing_to_train())
            part.targets = y = prepare(y, outputs, self.loss)
            values = self.loss.call(y, outputs)
        if not hasattr(values, "backward"):
            raise ValueError(
                f'the loss "{self.loss.name}" does not depend on the outputs: compute it from '
                "y_pred with lamina.xp or operators"
            )
        seed = self._seed(values, part.rows, rows, weights, weight_total)
        part.outputs = outputs.data
        part.loss = _weighted_sum(values.data, seed)
        roots = [(values, seed)]
        for loss in current.losses:
            share = part.rows / rows
            part.loss = part.loss + loss.data * share
            roots.append((loss, backend.namespace(loss.data).full_like(loss.data, share)))
        found = sweep(roots)
        part.gradients = [found.get(p) for p in self.parameters]
        return part

    def _run_chain(self, part, x, y, weights, rows, weight_total) -> bool:
        """What ``_shard`` does, without a tape; tells whether every kernel took part."""
        chain = self._chain
        if x.shape[1:] != self.model._accepted:
            self.model.check_input(x.shape)
            self.model._accepted = x.shape[1:]
        run = chain.forward(x)
        if run is None:
            return False
        end, kept = run
        part.targets = y = prepare(y, end, self.loss)
        run = chain.values(y, end)
        if run is None:
            return False
        values, part.outputs, pullback = run
        seed = self._seed(values, part.rows, rows, weights, weight_total)
        part.loss = _weighted_sum(values, seed)
        part.gradients = chain.gradients(kept, pullback, seed)
        return True

    def _nothing_to_train(self) -> str:
        if not self.parameters:
            return (
                f'model "{self.model.name}" has no trainable weights: set trainable=True on a '
                "layer, or use evaluate and predict"
            )
        return f'the output of model "{self.model.name}" does not depend on its weights'

    def _add_penalties(self, part) -> None:
        """Regularizers, once a step: their values to the loss, their gradients to the first part."""
        roots = []
        for parameter in self._penalized:
            penalty = parameter.regularizer(parameter)
            value = penalty.data if hasattr(penalty, "backward") else penalty
            part.loss = part.loss + value
            if getattr(penalty, "requires_grad", False):
                roots.append((penalty, backend.namespace(value).ones_like(value)))
        found = sweep(roots)
        for i, parameter in enumerate(self.parameters):
            g = found.get(parameter)
            if g is not None:
                before = part.gradients[i]
                part.gradients[i] = g if before is None else before + g

    def forward(self, x, y, weights):
        """Outputs and loss of a batch without training: (outputs, loss)."""
        with Pass() as current:
            outputs = self.model(x)
            outputs = getattr(outputs, "data", outputs) if hasattr(outputs, "detach") else outputs
            if self.loss is None or y is None:
                return outputs, None
            values = self.loss.call(prepare(y, outputs, self.loss), outputs)
        rows = x.shape[0]
        seed = self._seed(values, rows, rows, weights, self._weight_total(weights))
        loss = _weighted_sum(values, seed)
        for extra in current.losses:
            loss = loss + getattr(extra, "data", extra)
        for parameter in self._penalized:
            loss = loss + parameter.regularizer(parameter.data)
        return outputs, loss

    def forget(self) -> None:
        """Drop what lies on a device that the model has left."""
        self._seeds.clear()
        self._version = None

    def out_of_memory(self, error, x, y, weights):
        """The error for a batch too large, naming one that was tried and fits."""
        rows = x.shape[0]
        while rows > 1:
            rows //= 2
            some = slice(0, rows)
            try:
                self.gradients(x[some], y[some], None if weights is None else weights[some])
            except MemoryError:
                continue
            return MemoryError(f"{error}: a batch_size of {rows} fits")
        return MemoryError(f"{error}: not even one sample fits, so make the model smaller")

    # ---- weights of the values ----------------------------------------------------------------

    def _weight_total(self, weights):
        if weights is None or self.loss is None or self.loss.reduction != "mean_with_sample_weight":
            return None
        return backend.namespace(weights).sum(weights)

    def _seed(self, values, rows, batch_rows, weights, weight_total):
        """What each value counts in the loss of the whole batch of ``batch_rows``."""
        shape = values.shape
        if self._per_sample is None:
            self._per_sample = len(shape) > 0 and shape[0] == rows
        if not self._per_sample:
            if weights is not None:
                raise ValueError(
                    f'the loss "{self.loss.name}" gives one number for the batch, so samples '
                    "cannot be weighted: return one value per sample"
                )
            if len(shape):
                raise ValueError(
                    f'the loss "{self.loss.name}" must give one value per sample or one number, '
                    f"got shape {tuple(shape)} for {rows} samples"
                )
        key = (shape, batch_rows, values.dtype)
        uniform = self._seeds.get(key)
        if uniform is None:
            uniform = self._uniform(values, batch_rows)
            if len(self._seeds) > 64:
                self._seeds.clear()
            self._seeds[key] = uniform
        if weights is None:
            return uniform
        xp = backend.namespace(weights)
        lead = weights.ndim
        if tuple(weights.shape) != tuple(shape[:lead]):
            raise ValueError(
                f"sample_weight must have one weight per value of the loss {tuple(shape)} or per "
                f"sample, got shape {tuple(weights.shape)}"
            )
        weights = xp.reshape(weights, (*shape[:lead], *(1,) * (len(shape) - lead)))
        if weight_total is not None:
            spread = 1
            for n in shape[lead:]:
                spread *= n
            return xp.broadcast_to(weights * self._weight / (weight_total * spread), shape)
        return uniform * weights

    def _uniform(self, values, batch_rows):
        data = getattr(values, "data", values) if hasattr(values, "detach") else values
        xp = backend.namespace(data)
        count = 1
        if self._per_sample and self.loss.reduction != "sum":
            count = batch_rows
            for n in values.shape[1:]:
                count *= n
        return xp.full_like(data, self._weight / count)


def _weighted_sum(values, seed):
    if values.ndim == 1 and hasattr(values, "dot"):  # at a third of the price of vecdot
        return values.dot(seed)
    return backend.namespace(values).sum(values * seed)
