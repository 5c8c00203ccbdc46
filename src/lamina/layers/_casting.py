"""The border of a layer: what comes in is brought to the dtype that the layer computes in.

This is the one place where dtypes change. Floats that enter a layer with a policy become its
compute dtype, and its parameters read so while its ``call`` runs; they themselves, and their
gradients, stay in the variable dtype. So ``call`` is the same mathematics under every policy.
What half precision would spoil (statistics, coordinates, long sums) says ``stays_wide`` and is
computed in float32.
"""

import threading

from lamina import backend, config, dtype_policies
from lamina.autograd import Parameter, Tensor, differentiable
from lamina.autograd._checkpoint import SURROUNDINGS
from lamina.dtype_policies import FLOATS
from lamina.ops._halves import is_half


class Typed:
    """The part of a ``Layer`` that knows its dtypes; see there."""

    stays_wide = False  # True where half precision would lose what matters
    casts_inputs = True  # False where the layers inside see to it
    _policy = None  # what ``dtype`` said
    _default = None  # what ``config.set_dtype_policy`` said when the layer was made
    _border = None  # the dtype that inputs become, by name; None takes floats as they come
    _reads_rounded = False  # whether it has parameters that read in the compute dtype

    @property
    def dtype_policy(self) -> dtype_policies.DTypePolicy:
        """In which dtypes it computes and keeps its parameters."""
        return self._policy or self._default or config.dtype_policy()

    @dtype_policy.setter
    def dtype_policy(self, policy) -> None:
        policy = dtype_policies.get(policy)
        if self.__dict__.get("built") and policy != self._policy:
            raise ValueError(
                f"{self} is built, so its dtypes are settled as {self.dtype_policy.name!r}, got "
                f"{policy and policy.name!r}: make it anew with dtype="
            )
        self._policy = policy

    @property
    def dtype(self) -> str | None:
        """The dtype of its parameters; None where neither it nor a policy names one."""
        named = self._policy or self._default
        return None if named is None else named.variable_dtype

    @dtype.setter
    def dtype(self, value) -> None:
        self.dtype_policy = value

    @property
    def variable_dtype(self) -> str:
        """The dtype of its parameters."""
        return self.dtype_policy.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype of its mathematics and, but for a softmax's, of its results."""
        return self.dtype_policy.compute_dtype

    def policy_name(self) -> str | None:
        """The policy as a configuration holds it: None where none was named."""
        named = self._policy or self._default
        return None if named is None else named.name

    def settle_dtypes(self) -> None:
        """Fix what the border does; once the layers inside and around it are known.

        Raises:
            ValueError: where the backend lacks the dtype.
        """
        named = self._policy or self._default
        if named is None or named.compute_dtype not in FLOATS:
            return
        if not hasattr(self.backend.xp, named.compute_dtype):
            half = "mixed_float16" if hasattr(self.backend.xp, "float16") else "float32"
            raise ValueError(
                f'{self} has the policy "{named.name}", but the backend {self.backend} has no '
                f'{named.compute_dtype}: use dtype="{half}", or a backend that has it'
            )
        if self.casts_inputs:
            wide = self.stays_wide and named.is_half
            self._border = "float32" if wide else named.compute_dtype

    def new_parameter(self, data, dtype, options) -> Parameter:
        """A parameter for ``add_weight``; where no dtype was asked for it follows the policy."""
        policy = self.dtype_policy
        rounded = dtype is None and policy.compute_dtype != policy.variable_dtype
        if not rounded or self.stays_wide:
            return Parameter(data, **options)
        self._reads_rounded = True
        return Master(data, **options)

    def _across(self, inputs, training):
        """``_computed`` for a layer with a policy: the border, on the way in and out."""
        name = self._border
        several = isinstance(inputs, list)
        inputs = [cast(one, name) for one in inputs] if several else cast(inputs, name)
        if self._reads_rounded:
            with Rounded(name) as rounded:
                for parameter in self._weights:  # before any function of them is checkpointed
                    if isinstance(parameter, Master):
                        rounded.of(parameter)
                out = self._called(inputs, training)
        else:
            out = self._called(inputs, training)
        if self.stays_wide and isinstance(out, Tensor):
            out = cast(out, self.compute_dtype)
        return out

    def _called(self, inputs, training):
        """``call``, whatever it takes."""
        if self._sets_mode:
            return self._call_in_mode(inputs, training)
        return self.call(inputs, training=training) if self._takes_training else self.call(inputs)


class _Current(threading.local):
    rounded: "Rounded | None" = None


_current = _Current()


class Rounded:
    """A block in which parameters of mixed precision read as rounded to ``dtype``.

    Each is rounded once, and the tape remembers from what: its gradients are added up in the
    parameter's own dtype. None ends the rounding of the block around.
    """

    __slots__ = ("_before", "_dtype", "_found")

    def __init__(self, dtype: str | None, found: dict | None = None):
        self._dtype = dtype
        self._found = {} if found is None else found

    def __enter__(self):
        self._before = _current.rounded
        _current.rounded = None if self._dtype is None else self
        return self

    def __exit__(self, *exc_info):
        _current.rounded = self._before

    def of(self, parameter) -> Tensor:
        """The parameter, rounded."""
        found = self._found.get(id(parameter))
        if found is None:
            with Rounded(None):
                found = self._found[id(parameter)] = cast(parameter, self._dtype)
        return found


def _as_now() -> Rounded:
    """A block that rounds as is done now, to the same tensors."""
    now = _current.rounded
    return Rounded(None) if now is None else Rounded(now._dtype, now._found)


SURROUNDINGS.append(_as_now)

_DATA, _NODE = Tensor.data, Tensor._node


class Master(Parameter):
    """A parameter of mixed precision: float32, but while a layer computes it reads rounded."""

    @property
    def data(self):
        rounded = _current.rounded
        return _DATA.__get__(self) if rounded is None else rounded.of(self).data

    @data.setter
    def data(self, value) -> None:
        _DATA.__set__(self, value)

    @property
    def _node(self):
        rounded = _current.rounded
        return None if rounded is None else rounded.of(self)._node

    @_node.setter
    def _node(self, value) -> None:
        _NODE.__set__(self, value)

    @property
    def shape(self) -> tuple:
        return _DATA.__get__(self).shape

    @property
    def ndim(self) -> int:
        return _DATA.__get__(self).ndim

    def assign(self, value) -> None:
        with Rounded(None):
            super().assign(value)


def cast(tensor: Tensor, name: str) -> Tensor:
    """A tensor of floats in the dtype of that name; others, such as whole numbers, as they are."""
    raw = tensor.data
    xp = backend.namespace(raw)
    dtype = getattr(xp, name)
    if raw.dtype == dtype or _float_name(raw.dtype) is None:
        return tensor
    return differentiable(xp).astype(tensor, dtype)


def widened(value):
    """A tensor or raw array of half precision in float32; anything else as it is.

    Losses and metrics are computed so: their sums and logarithms need it.
    """
    if not is_half(value.dtype):
        return value
    xp = backend.namespace(value.data if isinstance(value, Tensor) else value)
    space = differentiable(xp) if isinstance(value, Tensor) else xp
    return space.astype(value, xp.float32)


def _float_name(dtype) -> str | None:
    name = str(dtype).rpartition(".")[2]
    return name if name in FLOATS else None
