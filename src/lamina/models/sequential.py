"""Sequential: layers one after the other."""

from lamina import layers as room
from lamina.layers import Input, Layer
from lamina.layers._holder import Structure
from lamina.models.chain import links_of
from lamina.models.model import Model


class Sequential(Model):
    """A stack of layers, each fed with the result of the one before.

    Its shapes are known, and its parameters made, as soon as the first layer declares them
    (``layers.Input((8,))``, ``input_shape=``, ``input_dim=``); else with the first batch.

    Args:
        layers: the layers, in order.
        trainable: whether they are trained.
        name: its name in messages and files.
        backend: "numpy", "cupy", ...; None is the one in use.
        dtype: the dtype, or policy, of layers that name none; None is ``config.dtype_policy()``.

    Example:
        >>> model = lamina.Sequential([layers.Input((2,)), layers.Dense(4), layers.Dense(1)])
    """

    hands_training_on = True

    def __init__(self, layers=None, trainable=True, name=None, *, backend=None, dtype=None):
        super().__init__(backend=backend, trainable=trainable, name=name, dtype=dtype)
        self.stack: list[Layer] = []
        if layers is not None and not hasattr(type(layers), "__iter__"):
            raise TypeError(f"pass a list of layers: Sequential([...]), got {layers!r}")
        for layer in layers or ():
            self.add(layer)

    def add(self, layer, rebuild=True) -> None:
        """Put a layer on top."""
        if not isinstance(layer, Layer):
            remedy = f": write {layer.__name__}(...)" if isinstance(layer, type) else ""
            raise TypeError(f"Sequential is made of layers, got {layer!r}{remedy}")
        if any(layer is other for other in self.stack):
            raise ValueError(f"{layer} is in {self} already: a layer can be stacked once")
        if any(layer.name == other.name for other in self.stack):
            raise ValueError(
                f'two layers of {self} are named "{layer.name}": give one another name'
            )
        if isinstance(layer, Input) and self.stack:
            raise ValueError(f"{layer} declares the input of {self} and must come first")
        before = self._output_shape
        self.stack.append(layer)
        Structure.changed()
        try:
            if self.built:
                self.place_layers()
                with layer.provisional():
                    self._output_shape = layer.compute_output_shape(before)
            elif self.layers and self.stack[0].declared_shape is not None:
                self.build_for(self.stack[0].declared_shape)
        except BaseException:
            self.stack = self.stack[:-1]
            self._output_shape = before
            raise
        if not self.trainable:
            layer.trainable = False

    def pop(self, rebuild=True) -> Layer:
        """Take the topmost layer off and return it."""
        if not self.stack:
            raise ValueError(f"{self} has no layer to take off")
        layer = self.stack.pop()
        Structure.changed()
        if self.built:
            self.built = bool(self.layers)
            self._find_output_shape(self._input_shape)
        return layer

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without the input's declaration."""
        return [layer for layer in self.stack if not isinstance(layer, Input)]

    def build(self, input_shape) -> None:
        if not self.layers:
            raise ValueError(f"{self} has no layers: add one")
        self._find_output_shape(input_shape)

    def _find_output_shape(self, shape) -> None:
        """Run through the stack, which builds what is not built yet."""
        for layer in self.stack:
            shape = layer.compute_output_shape(shape)
        self._output_shape = tuple(shape)

    def call(self, inputs, training=False):
        for layer in self.stack:
            inputs = layer(inputs, training=training)
        return inputs

    def links(self):
        links = []
        for layer in self.stack:
            own = links_of(layer)
            if own is None:
                return None
            links += own
        return links

    def check_input(self, shape) -> None:
        if self.stack and self.built:
            self.stack[0].check_input(shape)

    def get_config(self) -> dict:
        inside = [{"class_name": type(n).__name__, "config": n.get_config()} for n in self.stack]
        shape = self._input_shape if self.built else None
        return {**super().get_config(), "layers": inside, "build_input_shape": shape}

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> "Sequential":
        """A model of such layers, with new weights.

        Args:
            config: what ``get_config`` gave.
            custom_objects: by name, the layers' classes that are not in ``lamina.layers``.
        """
        settings = {**config}
        shape = settings.pop("build_input_shape", None)
        settings["layers"] = [_made(one, custom_objects or {}) for one in settings["layers"]]
        model = cls(**settings)
        if shape is not None:
            model.build_for(shape)
        return model


def _made(described: dict, custom_objects: dict) -> Layer:
    """The layer of a class's name and a configuration."""
    name, config = described["class_name"], described["config"]
    if name == "Sequential":
        return Sequential.from_config(config, custom_objects)
    if name not in custom_objects and name not in room.__all__:
        raise ValueError(
            f"lamina has no layer {name!r}: pass custom_objects={{{name!r}: {name}}} with its class"
        )
    return (custom_objects.get(name) or getattr(room, name)).from_config(config)
