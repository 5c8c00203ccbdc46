"""What a layer holds: its parameters, those of the layers inside it, and where they live.

Layers are found by looking at attributes, so a layer of one's own need not register anything.
"""

from lamina import backend, config, constraints, initializers, regularizers
from lamina.autograd import Parameter, Tensor
from lamina.backend.random import Generator
from lamina.errors import counted
from lamina.layers._casting import Typed


class Structure:
    """Counts changes to any model's structure, so that lists of parameters can be kept."""

    version = 0

    @classmethod
    def changed(cls) -> None:
        cls.version += 1


class Holder(Typed):
    """The part of a ``Layer`` that holds parameters; see there."""

    def add_weight(
        self,
        shape=(),
        initializer="glorot_uniform",
        dtype=None,
        trainable=True,
        regularizer=None,
        constraint=None,
        name=None,
    ) -> Parameter:
        """Make a parameter: in ``build``, as ``self.kernel = self.add_weight(...)``.

        Args:
            shape: its shape.
            initializer: a name, an initializer, or a function (shape, dtype) -> array.
            dtype: its dtype, in which it is also computed with; None is as the layer's policy says.
            trainable: False for numbers the layer keeps but no optimizer changes.
            regularizer: a name or function of a penalty on it, added to the loss.
            constraint: a name or function that it satisfies after every step.
            name: its name within the layer.
        """
        if isinstance(shape, str | int):
            remedy = f"write ({shape},) for one axis"
            if isinstance(shape, str):
                remedy = "the shape comes first: add_weight(shape, ..., name=...)"
            raise TypeError(f"add_weight needs the shape as a tuple, got {shape!r}: {remedy}")
        place = self.backend
        number = len(self._weights) + len(self._constants)
        rng = Generator(self.seed, "weight", number)
        kept = dtype or self.dtype or config.floatx()
        value = initializers.get(initializer)(tuple(shape), kept, rng=rng)
        options = {
            "name": name or f"weight_{number}",
            "trainable": trainable and self._trainable,
            "regularizer": regularizers.get(regularizer),
            "constraint": constraints.get(constraint),
        }
        data = backend.memory.on_a_line(place.asarray(value, kept))
        parameter = self.new_parameter(data, dtype, options)
        (self._weights if trainable else self._constants).append(parameter)
        Structure.changed()
        return parameter

    @property
    def backend(self):
        """Where its parameters live: its model's backend, or the one in use when it was built."""
        if self._backend is None:
            self._backend = backend.get()
        return self._backend

    def place_layers(self) -> None:
        """Tell the layers inside that hold no parameters yet where theirs go, and of which dtype.

        Where some compute in half precision, those that no policy reaches take floats in theirs.

        Raises:
            ValueError: where one has parameters on another backend.
        """
        seen, stack = [self], [self]
        while stack:
            holder = stack.pop()
            for layer in holder.sublayers():
                if any(layer is other for other in seen):
                    continue
                if not layer.built:
                    layer._backend = self.backend
                    layer._policy = layer._policy or holder._policy
                    layer._default = layer._default or holder._default
                elif layer.weights and not self.backend.owns(layer.weights[0].data):
                    raise ValueError(
                        f"{layer} was built on {layer.backend}, {self} is on {self.backend}: build "
                        f"the model with backend='{layer.backend}', or make the layer anew"
                    )
                seen.append(layer)
                stack.append(layer)
        if any(layer.dtype_policy.is_half for layer in seen):
            for layer in seen:
                layer._policy = layer._policy or layer.dtype_policy
                layer.settle_dtypes()

    @property
    def trainable(self) -> bool:
        """Whether its parameters are trained. Setting it freezes or frees the layers inside too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        self._born_frozen = False
        for parameter in self.own_weights():
            if not any(parameter is constant for constant in self._constants):
                parameter.trainable = self._trainable
        for layer in self.sublayers():
            layer.trainable = value
        Structure.changed()

    def sublayers(self) -> list["Holder"]:
        """The layers held by this layer's attributes, directly or in lists, tuples and dicts."""
        found = []
        for value in tuple(vars(self).values()):  # other threads may set more
            _collect_layers(value, found)
        return found

    def own_weights(self) -> list[Parameter]:
        """Its parameters without those of the layers inside: from ``add_weight``, or attributes."""
        own = [*self._weights, *self._constants]
        for value in tuple(vars(self).values()):  # other threads may set more
            if isinstance(value, Parameter) and not any(value is p for p in own):
                own.append(value)
        return own

    def layers_within(self) -> list["Holder"]:
        """This layer and all layers inside it, each once, in order."""
        found, stack = [], [self]
        while stack:
            layer = stack.pop()
            if not any(layer is other for other in found):
                found.append(layer)
                stack.extend(reversed(layer.sublayers()))
        return found

    @property
    def weights(self) -> list[Parameter]:
        """All its parameters: the trainable ones of every layer first, then the others."""
        trained, constants = [], []
        for layer in self.layers_within():
            for p in layer.own_weights():
                (constants if any(p is c for c in layer._constants) else trained).append(p)
        return trained + constants

    @property
    def trainable_weights(self) -> list[Parameter]:
        """The parameters that an optimizer changes."""
        return [p for p in self.weights if p.trainable]

    @property
    def non_trainable_weights(self) -> list[Parameter]:
        """The parameters that no optimizer changes."""
        return [p for p in self.weights if not p.trainable]

    trainable_variables = trainable_weights
    variables = weights

    def get_weights(self) -> list:
        """Copies of all parameters as NumPy arrays, in the order of ``weights``."""
        return [p.numpy() for p in self.weights]

    def set_weights(self, weights) -> None:
        """Set all parameters at once, in the order of ``get_weights``.

        Raises:
            ValueError: for another number of arrays or another shape; then nothing is changed.
        """
        parameters, weights = self.weights, list(weights)
        if len(weights) != len(parameters):
            raise ValueError(
                f"{self} has {counted(len(parameters), 'weight')}, got {len(weights)}: pass what "
                "get_weights() of an equal layer gives"
                + ("" if self.built else " (this one is not built yet: call it on a batch first)")
            )
        given = [self.backend.asarray(w.data if isinstance(w, Tensor) else w) for w in weights]
        for parameter, value in zip(parameters, given, strict=True):
            if tuple(value.shape) != tuple(parameter.shape):
                raise ValueError(
                    f'weight "{parameter.name}" of {self} has shape {tuple(parameter.shape)}, '
                    f"got {tuple(value.shape)}: nothing was set"
                )
        for parameter, value in zip(parameters, given, strict=True):
            parameter.assign(value)

    def count_params(self) -> int:
        """How many numbers its parameters hold together."""
        return sum(p.size for p in self.weights)


def _collect_layers(value, found) -> None:
    if isinstance(value, Holder):
        found.append(value)
    elif isinstance(value, list | tuple):
        for item in value:
            _collect_layers(item, found)
    elif isinstance(value, dict):
        for item in value.values():
            _collect_layers(item, found)
