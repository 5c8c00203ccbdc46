"""Model: a layer that is trained.

Subclass it and write ``call``, or stack layers with ``Sequential``. What a model is stands here;
how it trains stands in ``trainer.py``, one step of it in ``step.py``.
"""

from lamina import backend, config
from lamina.autograd import _debug as debug
from lamina.autograd import no_grad
from lamina.errors import counted
from lamina.layers import Input, Layer, _inputs, _passes
from lamina.layers._holder import Structure
from lamina.models.random_state import RandomState
from lamina.models.summary import show, summary
from lamina.models.trainer import Trainer

NOT_WHOLE = (
    "whole models in files are to come; make the model by the same code, and use save_weights and "
    "load_weights"
)


class Model(Trainer, RandomState, Layer):
    """A layer made of layers, with training, weights in files, and a backend.

    Args:
        backend: "numpy", "cupy", or anything ``lamina.backend.get`` takes; None is the one in use.
        name: its name in messages and files.

    Example:
        >>> class Wide(lamina.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = layers.Dense(32, activation="relu")
        ...         self.out = layers.Dense(1)
        ...     def call(self, inputs):
        ...         return self.out(self.hidden(inputs))
    """

    casts_inputs = False  # data come as they are, and the layers say what they take

    def __init__(self, *, backend=None, trainable=True, name=None, **kwargs):
        super().__init__(trainable=trainable, name=name, **kwargs)
        self._backend = _get_backend(backend)
        self._output_shape = None
        self._input_dtype = None, None  # the structure's version, and what was found for it

    @property
    def layers(self) -> list[Layer]:
        """The layers it is made of, in order."""
        return self.sublayers()

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name, or at that place.

        Raises:
            ValueError: where there is none, with the names there are.
        """
        if (name is None) == (index is None):
            raise ValueError("get_layer needs either a name or an index")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"{self} has {counted(len(layers), 'layer')}, got index {index}")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        from lamina.errors import unknown

        raise unknown(f"layer of {self}", name, [layer.name for layer in layers])

    def build(self, input_shape) -> None:
        """Make all parameters, by running ``call`` on one sample."""
        with no_grad(), _passes.Pass(), debug.debug_nans(False):
            out = self._computed(self.sample(input_shape, 1, self.input_dtype), training=False)
            self._output_shape = _inputs.of_samples(_inputs.shape_of(out))

    @property
    def input_dtype(self) -> str:
        """The dtype that inputs become: the first layer's, whole numbers where it counts things."""
        if self._input_dtype[0] != Structure.version:
            self._input_dtype = Structure.version, self._find_input_dtype()
        return self._input_dtype[1] or config.floatx()

    def _find_input_dtype(self) -> str | None:
        for layer in self.layers_within():
            if layer.takes_integers:
                return "int32"
            if layer.dtype is not None:
                return layer.dtype
            if layer.own_weights():
                return self.backend.dtype_name(layer.own_weights()[0].dtype)
        return None

    @property
    def input_shape(self) -> tuple | None:
        """The shape of inputs, with None for the batch; None before it is known."""
        return self._input_shape

    @property
    def output_shape(self) -> tuple | None:
        """The shape of outputs, with None for the batch; None before it is known."""
        return self._output_shape

    def to(self, target) -> "Model":
        """Move the model, its optimizer and its random state to another backend; returns it.

        Args:
            target: "numpy", "cupy", ... or a Backend.
        """
        place = _get_backend(target)
        before = self.backend
        if place is before:
            return self
        optimizer = getattr(self, "optimizer", None)
        state = optimizer.state() if optimizer is not None and optimizer.built else None
        for layer in self.layers_within():
            layer._backend = place
        with place.scope():
            for parameter in self.weights:
                parameter.data = place.asarray(
                    before.to_numpy(parameter.data).copy(), before.dtype_name(parameter.dtype)
                )
                parameter.changed()
        Structure.changed()
        if state is not None:
            optimizer.build(self.trainable_weights)
            optimizer.set_state(state)
        self._forget_batches()
        return self

    def summary(
        self,
        line_length=None,
        positions=None,
        print_fn=None,
        expand_nested=False,
        show_trainable=False,
        layer_range=None,
    ) -> None:
        """Print the layers with their output shapes and numbers of parameters.

        Args:
            line_length: the width of the table.
            positions: accepted for Keras's sake.
            print_fn: called with each line instead of ``print``.
            expand_nested: whether to show the layers inside of layers.
            show_trainable: whether to say of each layer if it is trained.
            layer_range: names of the first and last layer to show.
        """
        lines = summary(self, line_length, expand_nested, show_trainable, layer_range)
        if print_fn is None:
            show(lines)
            return
        for line in lines:
            print_fn(line)

    def save_weights(self, filepath, overwrite=True) -> None:
        """Write all weights to a ``.safetensors`` or ``.npz`` file.

        They are named by the place of their layer in the model, then by what they are, as
        ``model/0/kernel``; within a layer of your own its layers are counted in the order in which
        it made them. So a file fits every model built alike, whatever its layers are called.

        Raises:
            FileExistsError: where the file exists and ``overwrite`` is False.
            ValueError: before the model is built, or for another suffix.
        """
        from lamina.saving.weights import save_weights

        self._require_built("save its weights")
        place = self.backend
        arrays = {name: place.to_numpy(p.data) for name, p in self.named_weights().items()}
        save_weights(filepath, arrays, overwrite=overwrite)

    def load_weights(self, filepath) -> None:
        """Read what ``save_weights`` wrote into a model of the same layers.

        Raises:
            ValueError: where names or shapes differ; then nothing is changed.
        """
        from lamina.saving.weights import load_weights

        self._require_built("load weights")
        arrays, parameters = load_weights(filepath), self.named_weights()
        if arrays.keys() != parameters.keys():
            missing = sorted(parameters.keys() - arrays.keys())
            extra = sorted(arrays.keys() - parameters.keys())
            raise ValueError(
                f"{filepath} is of another model than {self}: it has {_size(arrays)}, the model "
                f"{_size(parameters)}; it lacks {_some(missing)} and has besides {_some(extra)}: "
                "nothing was loaded"
            )
        for name, parameter in parameters.items():
            if arrays[name].shape != tuple(parameter.shape):
                raise ValueError(
                    f'weight "{name}" of {self} has shape {tuple(parameter.shape)}, in {filepath} '
                    f"it has {arrays[name].shape}: nothing was loaded"
                )
        for name, parameter in parameters.items():
            parameter.assign(arrays[name])

    def named_weights(self) -> dict:
        """All parameters by "place of the layer/name of the parameter", as files name them.

        Layers are named by their place, so two models of the same layers agree whatever their
        layers are called and however they declare their input.
        """
        named = {}
        for layer, path in self._paths():
            for parameter in layer.own_weights():
                name, number = f"{path}/{parameter.name}", 1
                while name in named:
                    name, number = f"{path}/{parameter.name}_{number}", number + 1
                named[name] = parameter
        return named

    def _paths(self):
        seen, stack = [], [(self, "model")]
        while stack:
            layer, path = stack.pop(0)
            if any(layer is other for other in seen):
                continue
            seen.append(layer)
            yield layer, path
            inside = [sub for sub in layer.sublayers() if not isinstance(sub, Input)]
            stack = [(sub, f"{path}/{i}") for i, sub in enumerate(inside)] + stack

    def _require_built(self, purpose: str) -> None:
        if not self.built:
            raise ValueError(
                f"{self} must know its input shape to {purpose}: give the first layer "
                "input_shape=, or call the model on a batch"
            )

    def __getattr__(self, name: str):
        if name == "save":
            raise AttributeError(f"a model has no save yet: {NOT_WHOLE}")
        return super().__getattr__(name)

    def get_config(self) -> dict:
        return {"name": self.name, "trainable": self.trainable, "dtype": self.policy_name()}


def _size(names) -> str:
    """How many weights in how many layers there are of these names."""
    layers = {name.rpartition("/")[0] for name in names}
    return f"{counted(len(names), 'weight')} in {counted(len(layers), 'layer')}"


def _some(names) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return (", ".join(names[:4]) or "nothing") + more


def _get_backend(identifier):
    return backend.get(identifier)
