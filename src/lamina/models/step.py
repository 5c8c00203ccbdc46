"""The training step: a sum over micro-batches.

A batch is cut into shards by a rule that looks at the batch and the model alone. Every shard runs
forward and backward on a tape of its own, on whichever worker is free; the gradients are added in
the order of the shards, and the optimizer moves once. Since neither the cut nor the order depends
on the number of workers, neither do the numbers. The loss is a weighted sum of one value per
sample, so the weights (1/n for a mean, sample weights, class weights) are simply the seed of the
sweep.
"""

import math

from lamina import backend, config
from lamina.autograd import Tensor, no_grad, sweep
from lamina.autograd import _debug as debug
from lamina.layers._casting import widened
from lamina.layers._holder import Structure
from lamina.layers._passes import Pass
from lamina.losses import prepare
from lamina.models.chain import chain_of

# Work is counted in products of a parameter and a number, a third of a step's multiplications.
TRIFLE = 1 << 18  # below this much work, matrix products never start threads of their own
ALONE = 1 << 25  # below this much, threads gain little, and on a busy machine lose everything
CUT = 1 << 26  # least that is cut in two, and half the least of a shard where there are more:
# threads pass the interpreter on some thirty times a shard, and wake late each time
_USES = 64  # least times that a shard takes every parameter, since its gradients must be added
_ROWS = 128  # rows in a shard where there are more than four of them
_SHARDS = 8  # most shards of a batch
_TOGETHER = 2  # most of one whose shards wait for one another
_GRADIENTS = 1 << 28  # most bytes that the shards' gradients may take together


def cut(rows: int, numbers: int, work: int | None = None, most: int = _SHARDS) -> list[slice]:
    """The shards of a batch.

    Args:
        rows: samples in the batch.
        numbers: how many numbers the model's parameters have.
        work: how many products of one of them a sample takes; None is each once.
        most: shards there may be.
    """
    total = rows * (numbers if work is None else work)
    uses = total // max(1, numbers)
    shards = min(uses // _USES, max(4, rows // _ROWS), most, rows)
    shards = min(shards, max(2, total // (2 * CUT)), _GRADIENTS // (4 * max(1, numbers)))
    if shards < 2 or total < CUT:
        return [slice(0, rows)]
    shards = 1 << shards.bit_length() - 1  # which the usual numbers of cores share evenly
    edges = [rows * i // shards for i in range(shards + 1)]
    return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]


class Part:
    """What one shard gave: its share of the loss, its outputs beside the targets, its gradients."""

    __slots__ = (
        "gradients", "has_added", "loss", "outputs", "rows", "targets", "updates", "weights",
    )  # fmt: skip


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
        self._masks = loss is not None and loss.masks
        self._mixes = False  # whether the loss of one sample depends on others
        self._version = None
        self._seeds = {}
        self._scales = None  # what makes a seed larger, or None
        self._fitting = None  # shapes of targets and outputs that were found to fit as they are

    def refresh(self) -> bool:
        """Look at the model's structure anew where it changed; tells whether it did."""
        if self._version == Structure.version:
            return False
        model = self.model
        self.parameters = model.trainable_weights
        self._penalized = [p for p in self.parameters if p.regularizer is not None]
        self._place = model.backend
        self._chain = chain_of(model, self.loss, self.parameters)
        layers = model.layers_within()
        self._numbers = sum(p.size for p in self.parameters)
        self._work = sum(layer.multiplications() for layer in layers)
        coupled = [layer for layer in layers if layer.uses_whole_batch]
        self._steady = self._place.name == "numpy"
        self._divisible = self._steady and all(layer.exchanges for layer in coupled)
        self._coupled = bool(coupled)
        self._half = any(layer.dtype_policy.is_half for layer in layers)
        self._cuts = {}
        self._version = Structure.version
        return True

    def one_thread_each(self, rows: int) -> bool:
        """Whether the products of a batch of so many samples start no threads of their own."""
        shards, quiet = self._plan(rows)
        divided = self._divisible and self._per_sample and not self._mixes
        return quiet or (len(shards) > 1 and bool(divided))

    def _plan(self, rows: int):
        """(the shards of a batch, whether one that is not cut stays on one thread)."""
        plan = self._cuts.get(rows)
        if plan is None:
            products = rows * self._work
            blockwise = self._work > 2 * self._numbers  # convolutions, in products of one block
            quiet = self._steady and products > TRIFLE and (blockwise or products < ALONE)
            most = _TOGETHER if self._coupled else _SHARDS
            plan = self._cuts[rows] = cut(rows, self._numbers, self._work, most), quiet
        return plan

    def gradients(self, x, y, weights):
        """The parts of one training step on a batch, in order.

        Args:
            x, y, weights: raw arrays on the model's backend; ``weights`` may be None.
        """
        rows = x.shape[0]
        optimizer = self.model.optimizer
        self._scales = optimizer.scale_loss if optimizer.scales_loss else None
        total = None if weights is None and not self._masks else self._total(y, weights)
        shards, quiet = self._plan(rows)
        whole = self._quiet_shard if quiet else self._shard
        if len(shards) == 1 or not (self._divisible and self._per_sample) or self._mixes:
            parts = [whole(x, y, weights, rows, total, 0)]
        else:
            parts = self._divided(shards, x, y, weights, rows, total)
            # What was found of the batch, not of a sample, shards cannot find.
            if parts is None or any(part.has_added for part in parts):
                self._divisible = False
                parts = [whole(x, y, weights, rows, total, 0)]
        if self._penalized:
            self._add_penalties(parts[0])
        self.number += 1
        return parts

    def _divided(self, shards, x, y, weights, rows, total):
        """The parts of a batch that is cut; None where it cannot be."""
        parts = [None] * len(shards)

        def run(i, exchange=None):
            some = shards[i]
            w = None if weights is None else weights[some]
            parts[i] = self._shard(x[some], y[some], w, rows, total, i, exchange)

        with backend.blas.one_thread():
            if not self._coupled:
                backend.workers.run(run, len(shards))
                return parts
            try:
                backend.together.Together(len(shards)).run(run)
            except backend.together.Apart:
                return None
        return parts

    def _quiet_shard(self, *batch) -> Part:
        with backend.blas.one_thread():
            return self._shard(*batch)

    def _shard(self, x, y, weights, rows, total, index, exchange=None) -> Part:
        part = Part()
        part.rows = x.shape[0]
        part.targets = y
        part.weights = weights
        chain = self._chain
        if chain is not None and self._per_sample and not debug.enabled:
            try:
                if self._run_chain(chain, part, x, y, weights, rows, total):
                    return part
            except MemoryError:
                pass  # the tape, which runs out as well, can tell in which layer
            self._chain = None
        with Pass(self.number, index, exchange) as current:
            outputs = self.model(x, training=True)
            if not outputs.requires_grad:
                raise ValueError(self._nothing_to_train())
            if self._half:
                outputs = widened(outputs)
            part.targets = y = prepare(y, outputs, self.loss)
            values = self.loss.call(y, outputs)
        if self._per_sample is None:
            self._look_at_loss(y, outputs, values)
        if not isinstance(values, Tensor):
            raise ValueError(
                f'the loss "{self.loss.name}" does not depend on the outputs: compute it from '
                "y_pred with lamina.xp or operators"
            )
        seed = self._seed(values, y, part.rows, rows, weights, total)
        part.outputs = outputs.data
        part.loss = _weighted_sum(values.data, seed)
        roots = [(values, self._scaled(seed))]
        for loss in current.losses:
            part.loss = part.loss + _raw(loss)
            if getattr(loss, "requires_grad", False):
                roots.append((loss, self._scaled(_ones_like(loss))))
        part.has_added = bool(current.losses) or current.of_shard
        part.updates = current.updates
        found = sweep(roots)
        part.gradients = [found.get(p) for p in self.parameters]
        return part

    def _run_chain(self, chain, part, x, y, weights, rows, total) -> bool:
        """What ``_shard`` does, without a tape; tells whether every kernel took part."""
        if x.shape[1:] != self.model._accepted:
            self.model.check_input(x.shape)
            self.model._accepted = x.shape[1:]
        run = chain.forward(x)
        if run is None:
            return False
        end, kept = run
        shapes = y.shape, end.shape
        if shapes != self._fitting:
            given, y = y, prepare(y, end, self.loss)
            self._fitting = shapes if y is given else None
        part.targets = y
        run = chain.values(y, end)
        if run is None:
            return False
        values, part.outputs, pullback = run
        seed = self._seed(values, y, part.rows, rows, weights, total)
        part.loss = _weighted_sum(values, seed)
        if self._scales is not None:
            seed = self._scales(seed)
        part.gradients = chain.gradients(kept, pullback, seed)
        part.has_added, part.updates = False, ()
        return True

    def _look_at_loss(self, y, outputs, values) -> None:
        """Find out of a function for a loss if it gives a value per sample, each on its own.

        Where a sample's value depends on the others in its batch, the batch must not be cut.
        """
        values, outputs = _raw(values), _raw(outputs)
        rows = outputs.shape[0]
        self._per_sample = getattr(values, "ndim", 0) > 0 and values.shape[0] == rows
        self._mixes = True
        if self._per_sample and rows > 1 and self.model.backend.is_host:
            xp, half = backend.namespace(values), rows // 2
            with no_grad():
                alone = _raw(self.loss.call(_raw(y)[:half], outputs[:half]))
            far = xp.abs(alone - values[:half]) > 1e-5 * (1 + xp.abs(alone))
            self._mixes = bool(xp.any(far))

    def _nothing_to_train(self) -> str:
        if not self.parameters:
            return (
                f'model "{self.model.name}" has no trainable weights: set trainable=True on a '
                "layer, or use evaluate and predict"
            )
        return f'the output of model "{self.model.name}" does not depend on its weights'

    def _add_penalties(self, part) -> None:
        """Regularizers, once a step: values to the loss, gradients to those of the first part."""
        roots = []
        for parameter in self._penalized:
            penalty = parameter.regularizer(parameter)
            part.loss = part.loss + _raw(penalty)
            if getattr(penalty, "requires_grad", False):
                roots.append((penalty, self._scaled(_ones_like(penalty))))
        found = sweep(roots)
        for i, parameter in enumerate(self.parameters):
            g = found.get(parameter)
            if g is not None:
                before = part.gradients[i]
                part.gradients[i] = g if before is None else before + g

    def forward(self, x, y, weights):
        """Outputs and loss of a batch without training: (outputs, loss)."""
        with Pass() as current:
            outputs = _raw(self.model(x))
            if self.loss is None or y is None:
                return outputs, None
            outputs = widened(outputs)
            y = prepare(y, outputs, self.loss)
            values = self.loss.call(y, outputs)
        if self._per_sample is None:
            self._look_at_loss(y, outputs, values)
        rows = x.shape[0]
        seed = self._seed(values, y, rows, rows, weights, self._total(y, weights))
        loss = _weighted_sum(values, seed)
        for extra in current.losses:
            loss = loss + _raw(extra)
        for parameter in self._penalized:
            loss = loss + _raw(parameter.regularizer(parameter.data))
        return outputs, loss

    def forget(self) -> None:
        """Drop what lies on a device that the model has left."""
        self._seeds.clear()
        self._version = None

    # ---- weights of the values ----------------------------------------------------------------

    def _total(self, y, weights):
        """What the values of the whole batch are divided by where that is no fixed number."""
        loss = self.loss
        mask = loss.valid(y) if self._masks else None
        by_weight = weights is not None and loss.reduction == "mean_with_sample_weight"
        if loss.reduction == "sum" or not (by_weight or mask is not None):
            return None
        xp = backend.namespace(y)
        counted = weights
        if mask is not None:
            counted = xp.astype(mask, self._place.dtype(config.floatx()))
            if by_weight:
                counted = counted * self._spread(weights, mask.shape)
        total = xp.sum(counted)
        return xp.where(total == 0, xp.ones_like(total), total)

    def _spread(self, weights, shape):
        """``weights`` with axes of 1 for those axes of the values that they lack."""
        lead = weights.ndim
        while lead > len(shape) and weights.shape[lead - 1] == 1:
            lead -= 1
        if tuple(weights.shape[:lead]) != tuple(shape[:lead]) or lead > len(shape):
            raise ValueError(
                f"sample_weight must have one weight per value of the loss {tuple(shape)} or per "
                f"sample, got shape {tuple(weights.shape)}"
            )
        return backend.namespace(weights).reshape(
            weights, (*shape[:lead], *(1,) * (len(shape) - lead))
        )

    def _seed(self, values, y, rows, batch_rows, weights, total):
        """What each value counts in the loss of the whole batch of ``batch_rows``."""
        shape = values.shape
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
        mask = self.loss.valid(y) if self._masks else None
        if weights is None and mask is None:
            return uniform
        xp = backend.namespace(uniform)
        factor = None if weights is None else self._spread(weights, shape)
        if mask is not None:
            mask = xp.astype(mask, uniform.dtype)
            factor = mask if factor is None else factor * mask
        if total is None:
            return uniform * factor
        if mask is None:  # the total is one of samples, not of values
            total = total * (math.prod(shape) / math.prod(weights.shape))
        return xp.broadcast_to(factor * (self._weight / total), shape)

    def _scaled(self, seed):
        """A seed of the sweep as the optimizer wants its gradients: in half precision, larger."""
        return seed if self._scales is None else self._scales(seed)

    def _uniform(self, values, batch_rows):
        data = _raw(values)
        xp = backend.namespace(data)
        count = 1
        if self._per_sample and self.loss.reduction != "sum":
            count = batch_rows
            for n in values.shape[1:]:
                count *= n
        return xp.full_like(data, self._weight / count)


def _ones_like(tensor):
    return backend.namespace(tensor.data).ones_like(tensor.data)


def _raw(value):
    """The array, or number, of a tensor; anything else as it is."""
    return value.data if isinstance(value, Tensor) else value


def _weighted_sum(values, seed):
    if values.ndim == 1 and hasattr(values, "dot"):  # at a third of the price of vecdot
        return values.dot(seed)
    return backend.namespace(values).sum(values * seed)
