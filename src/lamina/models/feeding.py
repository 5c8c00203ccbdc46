"""From a user's data to batches on the model's backend, with every check on the way.

One ``Feed`` serves one call of ``fit``, ``evaluate`` or ``predict``.
"""

from lamina import backend, config
from lamina.data import (
    ArrayBatches,
    IterableBatches,
    as_array,
    class_weights,
    is_iterable_of_batches,
    is_ready,
    to_backend,
)
from lamina.errors import counted
from lamina.layers._options import whole_number
from lamina.losses import check_labels, prepare, wants_integers


def is_accepted(model, x) -> bool:
    """Whether x is a batch as the model has it, and like the last that was found right."""
    return (
        model.built
        and getattr(x, "shape", ())[1:] == model._accepted
        and is_ready(x, model.input_dtype, model.backend)
        and len(x) > 0
    )


class Feed:
    """Converts and checks data for a model.

    Args:
        model: the model; built by the first data it sees where it is not yet.
        loss: the loss whose labels are checked, or None for a model that only predicts.
        only_x: whether to leave out what batches bring besides x.
    """

    def __init__(self, model, loss, only_x=False):
        self.model = model
        self.loss = loss
        self.place = model.backend
        self._only_x = only_x
        self._any_number_will_do = not wants_integers(loss) and not getattr(loss, "labels", None)

    def source(self, x, y=None, weights=None, batch_size=None, classes=None):
        """Batches of x, y and weights, from arrays or from an iterable of batches."""
        if x is None:
            raise ValueError("x is missing: pass the inputs, or an iterable of batches")
        if is_iterable_of_batches(x):
            for given, name in ((y, "y"), (weights, "sample_weight"), (batch_size, "batch_size")):
                if given is not None:
                    raise ValueError(
                        f"x is an iterable of batches, which brings its own {name}: leave {name} "
                        "out"
                    )
            return IterableBatches(x, lambda *parts: self._drawn(*parts, classes))
        size = 32 if batch_size is None else whole_number("fit", "batch_size", batch_size)
        with self.model.provisional():
            arrays = self.arrays(x, y, weights, classes)
            return ArrayBatches(arrays, self._dtypes(), size, self.place, self.convert)

    def _drawn(self, x, y, weights, classes) -> list:
        """A batch that an iterable gave, converted and checked."""
        if y is None and self.loss is not None and not self._only_x:
            raise ValueError("y is missing: batches must be (x, y), this iterable yields x alone")
        return self.batch(x, y, weights, classes)

    def batch(self, x, y=None, weights=None, classes=None) -> list:
        """One batch, converted and checked."""
        with self.model.provisional():
            arrays = self.arrays(x, y, weights, classes)
            return [
                None if array is None else self.convert(array, name, dtype, 0)
                for array, name, dtype in zip(arrays, NAMES, self._dtypes(), strict=True)
            ]

    def arrays(self, x, y, weights, classes=None) -> tuple:
        """x, y and weights as arrays of some backend, their shapes checked; the model built."""
        if x is None:
            raise ValueError("x is missing: pass the inputs")
        x = as_array(x, "x")
        if self._only_x:
            y = weights = None
        elif y is None and self.loss is not None:
            raise ValueError("y is missing: pass one target per sample")
        y = None if y is None else as_array(y, "y")
        weights = None if weights is None else as_array(weights, "sample_weight")
        if not x.ndim:
            raise ValueError("x must have one row per sample, got a single number: pass [[x]]")
        if self.model.built:
            self.model.check_input(x.shape)
        check_rows(x, y, weights)
        if classes is not None:
            if weights is not None:
                raise ValueError(
                    "give either class_weight or sample_weight: multiply the class's weight into "
                    "sample_weight to have both"
                )
            with backend.allow_sync():
                weights = class_weights(y, classes)
        self.model.build_from(x)
        if y is not None and self.loss is not None:
            self._check_targets(y)
        return x, y, weights

    def _check_targets(self, y) -> None:
        """Raise where the shape of y does not fit the model's outputs and the loss."""
        shape = (y.shape[0], *self.model.output_shape[1:])
        if None not in shape:
            prepare(y, _Outputs(shape), self.loss)

    def _dtypes(self) -> tuple:
        inputs = self.model.input_dtype
        wide = str(inputs) in ("float32", "float64")  # targets are compared in no less
        floats = inputs if wide else config.floatx()
        labels = "int64" if self.loss is not None and wants_integers(self.loss) else floats
        return inputs, labels, floats

    def convert(self, piece, name, dtype, rows):
        """A piece of x, y or weights on the model's backend, checked.

        Args:
            piece: an array of any backend.
            name: which of the three it is.
            dtype: what it becomes.
            rows: the number of its first row in the whole, or those of all its rows.
        """
        if (name == "x" or (name == "y" and self._any_number_will_do)) and is_ready(
            piece, dtype, self.place
        ):
            return piece
        with backend.allow_sync():  # what lies on a device already is looked at there
            return self._converted(piece, name, dtype, rows)

    def _converted(self, piece, name, dtype, rows):
        if backend.namespace(piece).isdtype(piece.dtype, "bool"):
            piece = backend.of(piece).asarray(piece, "int32")
        if name == "y" and self.loss is not None and isinstance(rows, int):
            check_labels(piece, self.model.output_shape, self.loss, rows)
        converted = to_backend(piece, name, dtype, self.place, rows)
        if name == "sample_weight" and backend.of(piece).scalar(_any_below_zero(piece)):
            raise ValueError("sample weights must not be negative: use 0 to leave a sample out")
        return converted


def _any_below_zero(array):
    return backend.namespace(array).any(array < 0)


class _Outputs:
    """Outputs of which only the shape is known yet."""

    def __init__(self, shape):
        self.shape = shape


def check_rows(x, y, weights) -> None:
    """Raise where x has no rows, or y or weights have not as many."""
    for part, name in zip((y, weights), NAMES[1:], strict=True):
        if part is not None and not part.ndim:
            raise ValueError(f"{name} must have one row per sample, got a single number")
        if part is not None and part.shape[0] != x.shape[0]:
            raise ValueError(
                f"x and {name} must have as many rows, got {x.shape[0]} and {part.shape[0]}"
            )
    if not x.shape[0]:
        raise ValueError(f"x has no rows, got shape {tuple(x.shape)}: pass at least one sample")


NAMES = ("x", "y", "sample_weight")


def split_off(x, y, weights, share):
    """The last ``share`` of the rows, before any shuffling, as validation data.

    Returns:
        ((x, y, weights) to train on, (x, y, weights) to validate on).
    """
    if is_iterable_of_batches(x):
        raise ValueError(
            "validation_split cannot cut an iterable of batches: pass validation_data instead"
        )
    if not 0 < share < 1:
        raise ValueError(f"validation_split is a share between 0 and 1, got {share!r}")
    parts = [None if part is None else as_array(part, name) for part, name in
             zip((x, y, weights), NAMES, strict=True)]  # fmt: skip
    check_rows(*parts)
    rows = parts[0].shape[0]
    first = int(rows * (1 - share))
    if not 0 < first < rows:
        raise ValueError(
            f"validation_split={share} of {counted(rows, 'sample')} leaves nothing to "
            f"{'train' if first == 0 else 'validate'} on"
        )
    train = tuple(None if p is None else p[:first, ...] for p in parts)
    return train, tuple(None if p is None else p[first:, ...] for p in parts)


def unpacked(validation_data) -> tuple:
    """validation_data as (x, y, sample_weight)."""
    if isinstance(validation_data, tuple | list):
        if len(validation_data) not in (2, 3):
            raise ValueError(
                "validation_data is (x, y) or (x, y, sample_weight), got "
                f"{counted(len(validation_data), 'part')}"
            )
        return (*validation_data, None)[:3]
    if is_iterable_of_batches(validation_data):
        return validation_data, None, None
    raise ValueError("validation_data is (x, y), (x, y, sample_weight) or an iterable of batches")
