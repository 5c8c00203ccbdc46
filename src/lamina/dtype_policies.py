"""Dtype policies: in which dtype a layer computes, and in which it keeps its parameters.

The two are the same but for mixed precision: computing in half precision is fast where the device
has units for it, but a small step would be rounded away from a weight kept in it, so weights stay
in float32 (Micikevicius et al., "Mixed precision training", 2018).

    model = lamina.Sequential([...], dtype="mixed_float16")   # or for all models made from now on:
    lamina.config.set_dtype_policy("mixed_float16")

Where the casts are done stands in ``layers/_casting.py``; how gradients too small for float16 are
kept from becoming 0, in ``optimizers/loss_scale.py``. The layers' results are float16 as in Keras,
but for a softmax's, which stay float32; give a last layer of another kind, such as a sigmoid whose
logarithm the loss takes, ``dtype="float32"``.
"""

from lamina.errors import unknown

HALVES = frozenset(("float16", "bfloat16"))
FLOATS = frozenset(("float16", "bfloat16", "float32", "float64"))

_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
_OTHERS = """bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 complex64 complex128"""
_NAMES = frozenset((*_MIXED, *FLOATS, *_OTHERS.split()))


class DTypePolicy:
    """The dtypes of a layer, as its ``dtype`` argument names them.

    Args:
        name: the name of a dtype, which then serves for all; or "mixed_float16" or
            "mixed_bfloat16", which compute in half precision and keep parameters in float32. None
            is ``lamina.config.dtype_policy()``.

    Attributes:
        name: as given.
        compute_dtype: what inputs and parameters are converted to for a layer's mathematics.
        variable_dtype: that of the parameters themselves.

    Raises:
        ValueError: for an unknown name, with the nearest right one.

    Example:
        >>> lamina.DTypePolicy("mixed_float16").variable_dtype
        'float32'
    """

    def __init__(self, name=None):
        if name is None:
            from lamina import config

            name = config.dtype_policy().name
        if not isinstance(name, str):  # a dtype of some library, or a class such as numpy.float32
            name = getattr(name, "__name__", None) or str(name).rpartition(".")[2]
        if name not in _NAMES:
            raise unknown("dtype policy", name, (*_MIXED, *FLOATS))
        self.name = name
        self.compute_dtype = _MIXED.get(name, name)
        self.variable_dtype = "float32" if name in _MIXED else name

    @property
    def is_half(self) -> bool:
        """Whether it computes in half precision."""
        return self.compute_dtype in HALVES

    def get_config(self) -> dict:
        """The argument that makes this policy."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict) -> "DTypePolicy":
        """The policy that ``get_config`` described."""
        return cls(**config)

    def __eq__(self, other) -> bool:
        return isinstance(other, DTypePolicy) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


def get(identifier) -> DTypePolicy | None:
    """The policy that a name, a dtype or a policy stands for; None stays None."""
    if identifier is None or isinstance(identifier, DTypePolicy):
        return identifier
    return DTypePolicy(identifier)


__all__ = ["DTypePolicy", "get"]


def __dir__() -> list[str]:
    return __all__
