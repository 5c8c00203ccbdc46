"""What all losses share: the base class, reductions, and the loss that a function becomes.

A loss is ``call``, which gives one value per sample, and a reduction of these values to one number.
To write one, subclass ``Loss`` and define ``call``, or pass a function (y_true, y_pred) to
``compile``.
"""

import math

from lamina import backend, config
from lamina.autograd import Tensor, differentiable
from lamina.errors import unknown
from lamina.losses._shapes import check_labels, fit_weights, prepare, wants_integers
from lamina.ops._halves import is_half
from lamina.registry import snake_case

REDUCTIONS = ("mean", "mean_with_sample_weight", "none", "sum", "sum_over_batch_size")


class Loss:
    """How wrong outputs are, as one number.

    Args:
        name: what it is called in messages.
        reduction: how the values of the samples become one number:
            "sum_over_batch_size" or "mean", their sum over how many there are;
            "mean_with_sample_weight", their sum over the sum of the sample weights;
            "sum"; "none" or None, which leaves them as they are.
        dtype: what outputs given to ``loss(y_true, y_pred)`` are converted to; None is their own,
            and float32 where they are of half precision.

    Attributes:
        per_sample: True where ``call`` is known to give one value per sample, None where not.
        targets: "outputs" where y_true has the shape of y_pred, "classes" where it has class
            numbers, None where that is not known.

    Example:
        >>> class Pinball(lamina.losses.Loss):
        ...     def call(self, y_true, y_pred):
        ...         d = y_true - y_pred
        ...         return lamina.xp.mean(lamina.xp.maximum(0.9 * d, -0.1 * d), axis=-1)
    """

    per_sample: bool | None = None
    targets: str | None = None
    labels: str | None = None  # "probability" or "count" where only such labels make sense
    one_choice = False  # whether the outputs are the probabilities of one choice
    role = "loss"

    def __init__(self, name=None, reduction="sum_over_batch_size", dtype=None):
        if reduction is not None and reduction not in REDUCTIONS:
            raise unknown("reduction", reduction, REDUCTIONS)
        self.name = name or snake_case(type(self).__name__)
        self.reduction = reduction
        self.dtype = dtype
        self.options = {}

    @property
    def class_axis(self) -> int:
        """The axis of the classes among the outputs."""
        return self.options.get("axis", -1)

    def call(self, y_true, y_pred):
        """The values of the samples; to be defined by subclasses.

        Args:
            y_true: targets.
            y_pred: outputs, shape (batch, ...).

        Returns:
            one value per sample, shape (batch,), or several, shape (batch, ...).
        """
        raise NotImplementedError(f'define call(y_true, y_pred) for the loss "{self.name}"')

    def valid(self, y_true):
        """None, or where among the values a sample counts at all, as booleans."""

    @property
    def masks(self) -> bool:
        """Whether ``valid`` may say more than None."""
        return type(self).valid is not Loss.valid

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The loss as one number (or as ``reduction`` says).

        Args:
            y_true: targets; arrays, tensors, lists.
            y_pred: outputs; arrays, tensors, lists.
            sample_weight: None, or a factor for each sample or each value.

        Raises:
            ValueError: for shapes or labels that do not fit.
        """
        y_true, y_pred = arrays(y_true, y_pred, self)
        values = self.call(y_true, y_pred)
        return reduced(values, sample_weight, self.reduction, self.valid(y_true))

    def get_config(self) -> dict:
        """What the constructor needs to make this loss again."""
        return {"name": self.name, "reduction": self.reduction, **self.options}

    @classmethod
    def from_config(cls, config: dict) -> "Loss":
        return cls(**config)

    def __str__(self) -> str:
        return f'loss "{self.name}"'

    def __repr__(self) -> str:
        parts = "".join(f", {k}={v!r}" for k, v in self.get_config().items() if k != "name")
        return f'<{type(self).__name__} "{self.name}"{parts}>'


class LossFunctionWrapper(Loss):
    """A loss of a function.

    Args:
        fn: a function (y_true, y_pred, **options) of one value per sample.
        reduction: as for ``Loss``.
        name: as for ``Loss``; that of the function where None.
        dtype: as for ``Loss``.
        options: further arguments of the function.
    """

    def __init__(self, fn, reduction="sum_over_batch_size", name=None, dtype=None, **options):
        super().__init__(name or getattr(fn, "__name__", type(fn).__name__), reduction, dtype)
        self.fn = fn
        self.options = options

    def call(self, y_true, y_pred):
        return self.fn(y_true, y_pred, **self.options)


class Elementwise(LossFunctionWrapper):
    """A loss of this library, with one target per output."""

    per_sample = True
    targets = "outputs"


def arrays(y_true, y_pred, what):
    """Targets and outputs on the device of the outputs, of one dtype and of shapes that fit."""
    raw = y_pred.data if isinstance(y_pred, Tensor) else y_pred
    if not backend.is_array(raw):
        y_pred = raw = backend.get().asarray(raw)
    place = backend.of(raw)
    xp = place.xp
    dtype = place.dtype(what.dtype) if what.dtype else raw.dtype
    if not what.dtype and is_half(dtype):
        dtype = xp.float32
    elif not xp.isdtype(dtype, "real floating"):
        dtype = place.dtype(config.floatx())
    if raw.dtype != dtype:
        y_pred = differentiable(xp).astype(y_pred, dtype)
    integers = wants_integers(what)
    if isinstance(y_true, Tensor):
        if y_true.dtype != dtype and not integers:
            y_true = differentiable(xp).astype(y_true, dtype)
    elif integers:
        y_true = place.asarray(y_true)
        if place.is_host and y_true.size:
            check_labels(y_true, y_pred.shape, what)
        if not xp.isdtype(y_true.dtype, "integral"):
            y_true = xp.astype(y_true, xp.int64)
    else:
        y_true = place.asarray(y_true, dtype)
    if y_pred.ndim == 1 and not integers:  # one sample without a batch axis, or one value of each
        if y_true.shape == (*y_pred.shape, 1):
            return y_true, differentiable(xp).expand_dims(y_pred, axis=-1)
        if y_true.shape == y_pred.shape:
            return y_true, y_pred
    return prepare(y_true, y_pred, what), y_pred


def reduced(values, weights, reduction, valid=None):
    """Values of samples, weighted, as one number.

    Args:
        values: one value per sample, or several; array or tensor.
        weights: None, or factors, one per value or per sample.
        reduction: one of ``REDUCTIONS`` or None.
        valid: None, or booleans of the shape of ``values``: means are over those that are true.
    """
    raw = values.data if isinstance(values, Tensor) else values
    place = backend.of(raw)
    xp = differentiable(place.xp)
    if weights is not None:
        weights = _weights(weights, values, place, xp)
    if valid is not None:
        mask = xp.astype(valid, raw.dtype)
        weights = mask if weights is None else weights * mask
    if weights is not None:
        values = values * weights
    if reduction in (None, "none"):
        return values
    total = xp.sum(values)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weights is not None:
        count = xp.sum(xp.broadcast_to(weights, values.shape))
    elif valid is not None:
        count = xp.sum(mask)
    else:
        count = math.prod(values.shape)
        return total / count if count else total
    return total / xp.where(count == 0, xp.ones_like(count), count)


def _weights(weights, values, place, xp):
    """Weights on the device of the values, in a shape that broadcasts to theirs."""
    if not isinstance(weights, Tensor):
        weights = place.asarray(weights, values.dtype)
    return fit_weights(xp, weights, values.shape) if values.ndim else weights
