"""What all metrics share: sums that grow from batch to batch, on the device of the outputs.

A metric takes in batches (``update_state``) without ever waiting for the device; only who asks for
the number behind ``result`` waits. To write one, subclass ``Metric``: add to its sums with ``add``
in ``update_state`` and compute from ``sums`` in ``result``; or pass a function (y_true, y_pred) to
``compile``.
"""

import functools

from lamina import backend, config
from lamina.autograd import Tensor
from lamina.losses import fit_weights, prepare
from lamina.registry import snake_case


class Metric:
    """A figure over all batches since ``reset_state``.

    Sums are kept in float64 wherever the device has it: in float32, adding 1 to a count of 2**24
    (16.7 million) or more no longer changes it.

    Args:
        dtype: what outputs are converted to first; None is their own.
        name: what it is called in logs; None is the class's name in snake_case.

    Attributes:
        sums: the state: arrays by name, and numbers that the host knows anyway; what is not there
            is 0.
        targets: "outputs" where y_true has the shape of y_pred, "classes" where it has class
            numbers, None where that is not known.
    """

    targets: str | None = None
    role = "metric"

    def __init__(self, dtype=None, name=None):
        self.name = name or snake_case(type(self).__name__)
        self.dtype = dtype
        self.options = {}
        self.sums = {}
        self._place = None  # the backend that the sums are on, known from the first batch on
        self._wide = None  # their dtype

    @property
    def class_axis(self) -> int:
        """The axis of the classes among the outputs."""
        return self.options.get("axis", -1)

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        """Take in a batch; to be defined by subclasses.

        Args:
            y_true: targets.
            y_pred: outputs.
            sample_weight: None, or a factor for each sample or each value.
        """
        raise NotImplementedError(f"define update_state for the {self}")

    def result(self):
        """The figure so far, an array without axes on the device; to be defined by subclasses."""
        raise NotImplementedError(f"define result for the {self}")

    def reset_state(self) -> None:
        """Begin anew."""
        self.sums = {}
        self._place = None

    def __call__(self, y_true, y_pred, sample_weight=None):
        """Take in a batch and give the figure so far."""
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()

    def state(self) -> dict:
        """The sums, by name, as they stand; for ``set_state``."""
        return dict(self.sums)

    def set_state(self, state: dict) -> None:
        """Go on from what ``state`` gave, exactly; its arrays may be of another backend."""
        self.sums = dict(state)
        self._place = None

    def add(self, **values) -> None:
        """Add to the sums of these names."""
        sums = self.sums
        for name, value in values.items():
            before = sums.get(name)
            sums[name] = value if before is None else before + value

    def get_config(self) -> dict:
        """What the constructor needs to make this metric again, without its state."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict) -> "Metric":
        return cls(**config)

    def __str__(self) -> str:
        return f'metric "{self.name}"'

    def __repr__(self) -> str:
        parts = "".join(
            f", {k}={v!r}" for k, v in self.get_config().items() if k not in ("name", "dtype")
        )
        return f'<{type(self).__name__} "{self.name}"{parts}>'

    def _settle(self, array) -> None:
        """Note where the sums are to be, and bring there those that came from elsewhere."""
        self._place = place = backend.of(array)
        self._wide = _widest(place)
        for name, value in self.sums.items():
            if type(value) not in (int, float):
                self.sums[name] = place.asarray(value)

    def _namespace(self):
        """The namespace that the sums are in: that of the outputs, or of a restored state."""
        if self._place is not None:
            return self._place.xp
        arrays = [value for value in self.sums.values() if type(value) not in (int, float)]
        return backend.namespace(arrays[0]) if arrays else backend.get().xp

    def _inputs(self, y_true, y_pred, sample_weight):
        """Raw arrays on one device, in shapes that fit: (xp, y_true, y_pred, sample_weight)."""
        if isinstance(y_pred, Tensor):
            y_pred = y_pred.data
        elif not backend.is_array(y_pred):
            y_pred = backend.get().asarray(y_pred)
        if self._place is None:
            self._settle(y_pred)
        place = self._place
        xp = place.xp
        y_true = _beside(y_true, y_pred, place)
        if sample_weight is not None:
            sample_weight = _beside(sample_weight, y_pred, place)
            if not is_floating(xp, sample_weight.dtype):
                sample_weight = xp.astype(sample_weight, self._wide)
        if self.dtype is not None:
            y_pred = place.asarray(y_pred, self.dtype)
        if self.targets is not None:
            y_true = prepare(y_true, y_pred, self)
        if self.targets == "outputs" and y_true.dtype != y_pred.dtype:
            if not is_floating(xp, y_pred.dtype):
                y_pred = xp.astype(y_pred, place.dtype(config.floatx()))
            y_true = xp.astype(y_true, y_pred.dtype)
        return xp, y_true, y_pred, sample_weight


@functools.cache
def _widest(place):
    """The widest floating-point dtype of a backend."""
    info = place.xp.__array_namespace_info__()
    floats = info.dtypes(device=place.device, kind="real floating")
    return floats.get("float64", place.xp.float32)


@functools.cache
def is_floating(xp, dtype) -> bool:
    """The standard's ``isdtype`` for real floating-point numbers, remembered."""
    return xp.isdtype(dtype, "real floating")


def _beside(value, array, place):
    """``value`` as an array on the device of ``array``."""
    if isinstance(value, Tensor):
        return value.data
    return value if type(value) is type(array) else place.asarray(value)


def spread(xp, weights, shape):
    """Weights of samples, or of values, as weights of values of ``shape``."""
    return xp.broadcast_to(fit_weights(xp, weights, shape), tuple(shape))


def quotient(xp, top, bottom):
    """``top / bottom``, and 0 where ``bottom`` is 0; numbers or arrays."""
    if isinstance(bottom, int | float):
        return top / bottom if bottom else top * 0.0
    nothing = bottom == 0
    return xp.where(nothing, 0.0, top / xp.where(nothing, xp.ones_like(bottom), bottom))
