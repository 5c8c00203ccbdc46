"""From a user's data to batches on the model's backend, with every check on the way.

One ``Feed`` serves one call of ``fit``, ``evaluate`` or ``predict``.
"""

from lamina import config
from lamina.data import (
    ArrayBatches,
    IterableBatches,
    as_array,
    check_finite,
    class_weights,
    is_iterable_of_batches,
)
from lamina.losses import check_labels, wants_integers


class Feed:
    """Converts and checks data for a model.

    Args:
        model: the model; built by the first data it sees where it is not yet.
        loss: the loss whose labels are checked, or None.
    """

    def __init__(self, model, loss):
        self.model = model
        self.loss = loss
        self.place = model.backend

    def source(self, x, y=None, weights=None, batch_size=None, classes=None):
        """Batches of x, y and weights, from arrays or from an iterable of batches."""
        if is_iterable_of_batches(x):
            for given, name in ((y, "y"), (weights, "sample_weight"), (batch_size, "batch_size")):
                if given is not None:
                    raise ValueError(
                        f"x is an iterable of batches, which brings its own {name}: leave {name} out"
                    )
            return IterableBatches(x, lambda *parts: self.batch(*parts, classes=classes))
        size = 32 if batch_size is None else batch_size
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"batch_size must be a whole number from 1 on, got {batch_size!r}")
        x, y, weights = self.arrays(x, y, weights, classes)
        return ArrayBatches(
            (x, y, weights), self._dtypes(), size, self.place, check=self._check_piece
        )

    def batch(self, x, y=None, weights=None, classes=None) -> list:
        """One batch, converted and checked."""
        parts = self.arrays(x, y, weights, classes)
        converted = []
        for part, dtype, name in zip(parts, self._dtypes(), _NAMES, strict=True):
            if part is not None:
                part = self.place.asarray(part, dtype)
                self._check_piece(part, name, 0)
                if part.shape[0] != parts[0].shape[0]:
                    raise ValueError(
                        f"x and {name} must have as many rows, got {parts[0].shape[0]} and "
                        f"{part.shape[0]}"
                    )
            converted.append(part)
        return converted

    def arrays(self, x, y, weights, classes=None) -> tuple:
        """x, y and weights as arrays of some backend, their shapes checked; the model built."""
        x = as_array(x, "x")
        self.model.build_from(x)
        if y is not None:
            y = as_array(y, "y")
            if not y.ndim:
                raise ValueError("y must have one row per sample, got a single number")
        if weights is not None:
            weights = as_array(weights, "sample_weight")
        if classes is not None:
            if weights is not None:
                raise ValueError(
                    "give either class_weight or sample_weight: multiply the class's weight into "
                    "sample_weight to have both"
                )
            if y is None:
                raise ValueError("class_weight needs y")
            weights = class_weights(y, classes)
        return x, y, weights

    def _dtypes(self) -> tuple:
        floats = self.model.dtype or config.floatx()
        labels = "int64" if self.loss is not None and wants_integers(self.loss) else floats
        return self.model.input_dtype, labels, floats

    def _check_piece(self, piece, name, first_row) -> None:
        check_finite(piece, name, first_row)
        if name == "y" and self.loss is not None and self.model.output_shape is not None:
            check_labels(piece, self.model.output_shape, self.loss)
        if name == "sample_weight" and self.place.scalar(self.place.xp.any(piece < 0)):
            raise ValueError("sample weights must not be negative: use 0 to leave a sample out")


_NAMES = ("x", "y", "sample_weight")


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
             zip((x, y, weights), _NAMES, strict=True)]  # fmt: skip
    rows = parts[0].shape[0]
    first = int(rows * (1 - share))
    if not 0 < first < rows:
        raise ValueError(
            f"validation_split={share} of {rows} samples leaves nothing to "
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
                f"{len(validation_data)} parts"
            )
        return (*validation_data, None)[:3]
    if is_iterable_of_batches(validation_data):
        return validation_data, None, None
    raise ValueError("validation_data is (x, y), (x, y, sample_weight) or an iterable of batches")
