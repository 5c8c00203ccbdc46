"""What an initializer is: shape in, NumPy array out, from the stream of numbers it is given."""

from lamina import backend, config
from lamina.backend.random import Generator, next_seed
from lamina.registry import Configured


class Initializer(Configured):
    """Values for new weights: ``initializer(shape, dtype=None, *, rng=None)``.

    The result is a NumPy array in host memory; whoever asked for it moves it to its backend, so
    that a network starts from the same numbers on each.

    Subclasses write ``__call__`` and, to be saved, ``get_config``.

    Args:
        shape: the shape of the weights.
        dtype: its name; None is ``lamina.backend.floatx()``.
        rng: the ``lamina.backend.random.Generator`` to draw from, given by the layer. An
            initializer with a ``seed`` draws from a stream of its own instead, and gives the same
            values at every call.

    Example:
        >>> lamina.initializers.Ones()((2,))
        array([1., 1.], dtype=float32)
    """

    def __call__(self, shape, dtype=None, *, rng=None):
        raise NotImplementedError(
            f"{type(self).__name__} must define __call__(self, shape, dtype=None, *, rng=None)"
        )

    def clone(self):
        """Another initializer of the same configuration."""
        return self.from_config(self.get_config())


class RandomInitializer(Initializer):
    """An initializer that draws.

    Args:
        seed: a whole number from 0 on, for values that are the same at every call; None to draw
            from the layer's stream.
    """

    def __init__(self, seed=None):
        if seed is not None and (isinstance(seed, bool) or not _is_whole(seed)):
            raise ValueError(
                f"{type(self).__name__} needs a seed that is a whole number from 0 on, or None, "
                f"got {seed!r}"
            )
        self.seed = None if seed is None else int(seed)
        self._own_seed = self.seed

    def stream(self, rng) -> Generator:
        """The stream to draw from."""
        if rng is not None and self.seed is None:
            return rng
        if self._own_seed is None:
            self._own_seed = next_seed()
        return Generator(self._own_seed, "initializer")

    def get_config(self) -> dict:
        return {"seed": self.seed}


class Function(Initializer):
    """A function ``(shape, dtype) -> array`` of the user's as an initializer."""

    def __init__(self, function):
        self.function = function

    def __call__(self, shape, dtype=None, *, rng=None):
        return self.function(shape, dtype=host_dtype(dtype))

    def __repr__(self) -> str:
        return repr(self.function)


def takes_rng(function) -> bool:
    """Whether a callable has a parameter ``rng``, or takes any keyword."""
    import inspect

    parameters = inspect.signature(function).parameters
    return "rng" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def host():
    """The namespace of host arrays."""
    return backend.get("numpy").xp


def host_dtype(dtype) -> str:
    """The name of the dtype to make host arrays in; NumPy has no bfloat16 and draws float32."""
    dtype = config.floatx() if dtype is None else dtype
    name = getattr(dtype, "__name__", None) or backend.get("numpy").dtype_name(dtype)
    return "float32" if name == "bfloat16" else name


def _is_whole(seed) -> bool:
    try:
        return seed.__index__() >= 0
    except (AttributeError, TypeError):
        return False
