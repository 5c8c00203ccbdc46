"""How a layer comes to be built, and what shapes it makes of what shapes: found by trying it."""

import contextlib

from lamina import config
from lamina.autograd import Tensor, no_grad
from lamina.autograd import _debug as debug
from lamina.layers import _inputs, _passes
from lamina.layers._first_call import FirstCall
from lamina.layers._holder import Holder, Structure

_ANY = 32  # stands for an axis of any length: even, and not too short for what is cut to halves


class Building(Holder):
    """The part of a ``Layer`` that builds it; see there."""

    def build_for(self, input_shape) -> None:
        """``build`` once, remembering the shape; where that fails nothing stays half built."""
        if self.built:
            return
        shape = _inputs.as_shape(input_shape)
        with FirstCall(self), self.provisional(), self.backend.scope():
            self._input_shape = None
            self.check_input(shape)
            self.place_layers()
            self.settle_dtypes()
            known = self.layers_within()
            self.build(shape)
            self._take_in(known)
            self._input_shape = shape
            self._sets_mode = bool(self.sublayers()) and not self.hands_training_on
            self.built = True
            if not all(layer.built for layer in self.layers_within()):
                self._shape_of_sample(shape, _ANY)

    def _take_in(self, known) -> None:
        """Make of layers that ``build`` made what those of ``__init__`` are: placed, and frozen."""
        new = [layer for layer in self.sublayers() if not any(layer is other for other in known)]
        if new:
            self.place_layers()
        if not self._trainable:
            for layer in self.sublayers() if self._born_frozen else new:
                layer.trainable = False

    @contextlib.contextmanager
    def provisional(self):
        """A block that may build this layer: where it fails, the layer is again as it was."""
        if self.built:
            yield
            return
        before = [(layer, _snapshot(layer)) for layer in self.layers_within()]
        try:
            yield
        except BaseException:
            for layer, state in before:
                vars(layer).clear()
                vars(layer).update(state)
            Structure.changed()
            raise

    def compute_output_shape(self, input_shape) -> tuple:
        """The shape of the result for inputs of ``input_shape``; None stays None.

        Found by running the layer on one sample, so no layer writes its shapes twice.
        """
        self.build_for(input_shape)
        given = _inputs.each(input_shape)
        shape = self._shape_of_sample(input_shape, _ANY)
        if any(None in one[1:] for one in given):  # axes of any length: what depends on them varies
            shape = _inputs.common(shape, self._shape_of_sample(input_shape, 2 * _ANY))
        return _inputs.with_batch(shape, given[0][0])

    def _shape_of_sample(self, input_shape, unknown: int):
        """The shape of the result for one sample, its unknown axes so long."""
        dtype = self.dtype or config.floatx()
        if any(layer.takes_integers for layer in self.layers_within()):
            dtype = "int32"
        with (
            FirstCall(self), no_grad(), _passes.Pass(), self.backend.scope(),
            debug.debug_nans(False),
        ):  # fmt: skip
            sample = self.sample(input_shape, unknown, dtype)
            return _inputs.shape_of(self(sample, training=False))

    def sample(self, input_shape, unknown: int, dtype: str):
        """A sample to try the layer on: halves, which most functions take, or whole zeros."""
        if _inputs.is_several(input_shape):
            return [self.sample(one, unknown, dtype) for one in input_shape]
        place = self.backend
        shape = (1, *[unknown if n is None else n for n in input_shape[1:]])
        value = 0 if "int" in dtype else 0.5
        return Tensor._of(
            place.xp.full(shape, value, dtype=place.dtype(dtype), device=place.device)
        )


def _snapshot(layer) -> dict:
    """What a layer is, to go back to: its attributes, lists copied."""
    return {name: [*v] if type(v) is list else v for name, v in vars(layer).items()}
