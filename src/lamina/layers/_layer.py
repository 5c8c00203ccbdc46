"""Layer: parameters, shapes and one line of mathematics; how to write one, its class says."""

from lamina import backend, config, dtype_policies, regularizers
from lamina.autograd import Parameter, Tensor
from lamina.autograd import _debug as debug
from lamina.backend.random import Generator, next_seed
from lamina.errors import counted
from lamina.layers import _inputs, _passes
from lamina.layers._building import Building
from lamina.layers._casting import widened
from lamina.layers._first_call import FirstCall
from lamina.layers._names import unique_name
from lamina.layers._options import sample_shape, unknown_option


class Layer(Building):
    """A function of arrays with parameters.

    A layer of your own declares its settings in ``__init__``, makes its parameters in ``build`` and
    computes in ``call``; everything else here is what the library does around that.

        class Scale(lamina.layers.Layer):
            def build(self, input_shape):
                self.scale = self.add_weight((input_shape[-1],), initializer="ones", name="scale")

            def call(self, inputs):
                return inputs * self.scale

    A layer may be made of layers. They are found wherever an attribute holds them, also in lists,
    tuples and dicts; nothing needs to be registered, and no ``build`` is needed where they hold all
    the parameters. The weights and losses of the layer around them are theirs too; freezing it,
    saving it, its backend and its dtype reach them, and each is told if it is training.

        class Residual(lamina.layers.Layer):
            def __init__(self, units, **kwargs):
                super().__init__(**kwargs)
                self.units = units
                self.inner = [layers.Dense(units, "relu"), layers.Dropout(0.1), layers.Dense(units)]

            def call(self, inputs):
                x = inputs
                for layer in self.inner:
                    x = layer(x)
                return inputs + x

            def get_config(self):
                return {**super().get_config(), "units": self.units}

    Under a policy of mixed precision inputs, and parameters while ``call`` runs, are rounded for
    it; a class whose mathematics needs float32 all the same says ``stays_wide = True``.

    Numbers that a layer keeps from step to step, such as moving averages, are weights too, made
    with ``trainable=False`` and changed by ``add_update``: not within ``call``, but when the step
    is done.

    Args:
        activity_regularizer: None, or a regularizer of the layer's output, added to the loss.
        trainable: whether its parameters are trained.
        dtype: the dtype of its mathematics and its parameters, or a policy for the two, such as
            "mixed_float16": see ``lamina.DTypePolicy``. None is ``config.dtype_policy()``.
        name: its name in messages, summaries and files; by default its class's, numbered.
        input_shape: the shape of one sample, where this is the first layer of a model.
        input_dim: the same for samples of one axis.

    Attributes:
        built: whether its parameters exist.
        seed: what its random numbers come from.
    """

    uses_whole_batch = False  # True where samples of a batch depend on one another in training
    exchanges = False  # True where they do, but ``call`` asks the other shards for what it needs
    takes_integers = False  # True where inputs are numbers of things, not amounts
    hands_training_on = False  # True where ``call`` gives ``training`` to the layers inside
    takes_several = None  # whether ``call`` takes a list of inputs; None: it does if given one

    def __init__(
        self,
        *,
        activity_regularizer=None,
        trainable=True,
        dtype=None,
        name=None,
        input_shape=None,
        input_dim=None,
        **unknown,
    ):
        if unknown:
            raise unknown_option(type(self).__name__, unknown, type(self).__init__)
        if input_dim is not None:
            input_shape = (input_dim,)
        self.name = name or unique_name(type(self).__name__)
        self._policy, self._default = dtype_policies.get(dtype), config.chosen_policy()
        self.built = False
        self.seed = next_seed()
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.declared_shape = None
        if input_shape is not None:
            self.declared_shape = (None, *sample_shape(self, "input_shape", input_shape))
        self._trainable = bool(trainable)
        self._born_frozen = not trainable  # before the layers inside were there to be told
        self._weights: list[Parameter] = []
        self._constants: list[Parameter] = []
        self._backend = None
        self._fed = None  # the dtype that raw inputs last had
        self._accepted = None  # the shape of a sample that was last found right
        self._input_shape = None  # what build got
        self._draws = 0  # random streams asked for outside of training steps
        self._takes_training = _names_argument(self.call, "training")
        self._sets_mode = False  # whether a call tells the layers inside if it is training

    # ---- what a layer of your own defines ---------------------------------------------------

    def build(self, input_shape) -> None:
        """Make the parameters for inputs of ``input_shape``; its first axis, the batch, is None.

        Of several inputs it is a list of shapes. Layers inside that are not built here are by
        running ``call`` on a sample.
        """

    def call(self, inputs):
        """The mathematics. May take ``training``: whether this is a step of training.

        Layers called inside need not be told: without ``training`` they go by this layer's.
        """
        raise NotImplementedError(f"{self} defines no call(inputs): write one that computes it")

    def check_input(self, shape) -> None:
        """Raise where a batch of ``shape`` does not fit what the layer was built for."""
        built = self._input_shape
        if built is None:
            return
        if _inputs.is_several(built) != _inputs.is_several(shape):
            raise self.input_error(_inputs.told(built), shape)
        pairs = [(built, shape)]
        if _inputs.is_several(built):
            if len(built) != len(shape):
                raise self.input_error(_inputs.told(built), shape)
            pairs = zip(built, shape, strict=True)
        for known, one in pairs:
            if len(known) != len(one):
                axes = counted(len(known), "axis", "axes")
                raise self.input_error(f"inputs with {axes}", one)

    def links(self):
        """The ops that ``call`` is, as (op, parameters, options), or None where it is more.

        Only for speed: see ``models/chain.py``.
        """
        return

    def multiplications(self) -> int:
        """How many products of a parameter and a number a sample takes, without layers inside.

        Only for speed: by it a batch is shared among threads. By default every parameter is taken
        once, as in a dense layer.
        """
        return sum(p.size for p in self.own_weights())

    def get_config(self) -> dict:
        """The settings from which an equal layer can be made."""
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.policy_name()}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        return config

    @classmethod
    def from_config(cls, config: dict) -> "Layer":
        """The layer that ``get_config`` described, not built yet."""
        return cls(**config)

    # ---- calling ----------------------------------------------------------------------------

    def __call__(self, inputs, training=None):
        """Compute; builds the layer on its first call.

        Args:
            inputs: an array or tensor whose first axis is the batch; or a list of them, for a layer
                that takes several.
            training: whether this is a step of training, where dropout and the like act; None is
                as the layer around it is called, False outside of any.

        Returns:
            a tensor, or what else ``call`` returns.
        """
        if training is None:
            training = _passes.in_training()
        if not isinstance(inputs, Tensor):  # array libraries refuse tensors right of an operator
            if isinstance(inputs, list | tuple) and self._takes_apart(inputs):
                inputs = [self._as_tensor(one) for one in inputs]
                return self._call_on_several(inputs, training)
            inputs = self._as_tensor(inputs)
        if not self.built or debug.enabled:
            return self._careful_call(inputs, training)
        shape = inputs.shape
        if shape[1:] != self._accepted:
            self.check_input(shape)
            self._accepted = shape[1:]
        return self._computed(inputs, training)

    def _as_tensor(self, value) -> Tensor:
        """An input as a tensor."""
        if isinstance(value, Tensor):
            return value
        if isinstance(value, Layer):
            raise TypeError(
                f"{self} is called on arrays, got the layer {value}: put layers in a row with "
                "Sequential([...]), or call them in the call of a Model of your own"
            )
        data = value if backend.is_array(value) else self.backend.asarray(value)
        if data.dtype is not self._fed:
            data = self._as_floats(data)
        return Tensor._of(data)

    def _takes_apart(self, inputs) -> bool:
        """Whether a list is one of inputs, each an array, and not one array of numbers."""
        if self.takes_several is not None:
            own = self.takes_several
        else:  # the library's layers say so, a call of one's own is asked for what it takes
            own = not type(self).call.__module__.startswith("lamina.")
            own = own and any(isinstance(i, Tensor) or _is_batch(i) for i in inputs)
        if not own and any(isinstance(one, Tensor) for one in inputs):
            raise TypeError(
                f"{self} takes one input, got a list of {len(inputs)}: call it on each, or join "
                "them first with layers.Concatenate or lamina.xp.stack"
            )
        return own

    def _call_on_several(self, inputs, training):
        """``__call__`` for a list of tensors."""
        if not inputs:
            raise ValueError(f"{self} needs at least one input, got an empty list")
        if not self.built or debug.enabled:
            return self._careful_call(inputs, training)
        shapes = _inputs.shape_of(inputs)
        if shapes != self._accepted:
            self.check_input(shapes)
            self._accepted = shapes
        return self._computed(inputs, training)

    def _computed(self, inputs, training):
        """What ``call`` gives for inputs that fit."""
        try:
            if self._border is not None:
                out = self._across(inputs, training)
            elif self._sets_mode:
                out = self._call_in_mode(inputs, training)
            elif self._takes_training:
                out = self.call(inputs, training=training)
            else:
                out = self.call(inputs)
        except Exception as error:
            told = self._explained(error, inputs)
            if told is error:
                raise
            raise told from error
        if out is None:
            raise TypeError(f"{self}: its call gave None: is a return missing?")
        if self.activity_regularizer is not None:
            _passes.add_loss(self.activity_regularizer(widened(out)) / out.shape[0])
        return out

    def _call_in_mode(self, inputs, training):
        """``call``, telling the layers inside if it is training."""
        with _passes.Mode(training):
            return (
                self.call(inputs, training=training) if self._takes_training else self.call(inputs)
            )

    def _careful_call(self, inputs, training):
        """A call that builds, or notes for ``debug_nans`` where it is."""
        shape = _inputs.shape_of(inputs)
        if not self.built:
            if self._backend is None:
                self._backend = backend.of(_inputs.first(inputs).data)
            with FirstCall(self):
                self.build_for(_inputs.of_samples(shape))
                return self(inputs, training=training)
        with debug.inside(self.name):
            self.check_input(shape)
            if self._border is not None:
                with _passes.Mode(training):
                    out = self._across(inputs, training)
            else:
                out = self._call_in_mode(inputs, training)
            if self.activity_regularizer is not None:
                _passes.add_loss(self.activity_regularizer(widened(out)) / out.shape[0])
            return out

    def _as_floats(self, data):
        """Raw inputs: whole numbers become floats, but where some layer inside counts things."""
        xp = backend.namespace(data)
        if xp.isdtype(data.dtype, ("bool", "integral")):
            if not any(layer.takes_integers for layer in self.layers_within()):
                return backend.of(data).asarray(data, self.dtype or config.floatx())
        self._fed = data.dtype
        return data

    def random(self) -> Generator:
        """The stream of this call's random numbers, such as a dropout mask's.

        In a training step it is named by the step, the shard and how often this layer asked
        before in it, never by what other layers or threads drew.
        """
        current = _passes.current()
        if current is None or current.step is None:
            self._draws += 1
            return Generator(self.seed, "call", self._draws)
        return Generator(self.seed, "step", current.step, current.shard, current.draw(self))

    def add_loss(self, loss) -> None:
        """Add a number computed in ``call`` to the loss of this step."""
        _passes.add_loss(loss)

    def add_update(self, parameter, new) -> None:
        """Change a weight that no optimizer trains, once this step of training is done.

        ``call`` itself changes nothing, so it may be run again, by half a batch or by another
        thread. Outside of the training loop the weight is changed at once; while a model is only
        used, as by ``evaluate`` and ``predict``, not at all. A batch whose layers have updates is
        not cut into shards.

        Args:
            parameter: made by ``add_weight(..., trainable=False)``.
            new: a function from its raw array to the new one.

        Example:
            >>> self.add_update(self.mean, lambda old: 0.9 * old + 0.1 * batch_mean)
        """
        _passes.add_update(parameter, new)

    # ---- messages ---------------------------------------------------------------------------

    def input_error(self, expected: str, shape, remedy: str = "") -> ValueError:
        """The error for inputs of ``shape`` where ``expected`` is expected."""
        built = self._input_shape
        if _inputs.is_several(shape):
            return ValueError(f"{self} expects {expected}, got {_inputs.told(shape)}")
        shape = tuple(shape)
        if not remedy and built is not None and len(shape) == len(built) - 1:
            if shape == built[1:]:
                remedy = "one sample lacks the batch axis: pass x[None]"
        return ValueError(
            f"{self} expects {expected}, got {shape}" + (f": {remedy}" if remedy else "")
        )

    def _explained(self, error, inputs):
        """``error`` as the user should read it, with this layer's name where it helps."""
        if hasattr(error, "lamina_layer"):
            return error
        shape = _inputs.shape_of(inputs)
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            told = MemoryError(f"memory ran out in {self} for inputs of shape {shape} ({error})")
            told.lamina_layer = self.name
            return told
        data = _inputs.first(inputs).data
        if self.weights and not self.backend.owns(data):
            told = ValueError(
                f"{self} lives on {self.backend}, its input on {backend.of(data)}: move the one "
                f"with lamina.backend.get('{self.backend}').asarray(x), or the model with "
                f"model.to('{backend.of(data)}')"
            )
            told.lamina_layer = self.name
            return told
        error.add_note(f"This was in {self}, called with inputs of shape {shape}.")
        error.lamina_layer = self.name
        return error

    def __getattr__(self, name: str):
        """Called for what is not there: say so, and why where ``__init__`` was never run."""
        if "_weights" not in vars(self) and not name.startswith("__"):
            kind = type(self).__name__
            raise AttributeError(
                f"{kind} has no {name!r} yet: {kind}.__init__ must call "
                "super().__init__(**kwargs) before anything else"
            )
        return object.__getattribute__(self, name)  # fails again, with Python's own words

    def __str__(self) -> str:
        return f'{type(self).__name__} "{self.name}"'

    def __repr__(self) -> str:
        built = f", input_shape={self._input_shape}" if self.built and self._input_shape else ""
        return f'<{type(self).__name__} name="{self.name}"{built}>'


def _is_batch(value) -> bool:
    return backend.is_array(value) and value.ndim > 0


def _names_argument(function, name: str) -> bool:
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if code is None:
        return False
    return name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
