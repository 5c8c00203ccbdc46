"""The operators, attributes and methods of Tensor that compute: functions of the namespace."""

from lamina import backend
from lamina.autograd._namespace import _raw, differentiable, function
from lamina.autograd._tensor import Tensor

_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "pow",
    "matmul": "matmul", "mod": "remainder", "floordiv": "floor_divide", "and": "bitwise_and",
    "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}  # fmt: skip
_COMPARISONS = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
    "ge": "greater_equal",
}  # fmt: skip
_UNARY = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}


def _binary(name, reflected=False):
    compute = function(name)

    def operator(self, other):
        if type(other) in _KINDS or isinstance(other, _OPERANDS) or backend.is_array(other):
            return compute(self, other)
        return NotImplemented

    def mirrored(self, other):
        if type(other) in _KINDS or isinstance(other, _OPERANDS) or backend.is_array(other):
            return compute(other, self)
        return NotImplemented

    return mirrored if reflected else operator


_OPERANDS = (Tensor, int, float, bool, complex)
_KINDS = frozenset(_OPERANDS)  # a look-up is quicker than isinstance


def _attach_operators() -> None:
    for dunder, name in (_BINARY | _COMPARISONS).items():
        setattr(Tensor, f"__{dunder}__", _binary(name))
    for dunder, name in _BINARY.items():
        setattr(Tensor, f"__r{dunder}__", _binary(name, reflected=True))
    for dunder, name in _UNARY.items():
        setattr(Tensor, f"__{dunder}__", lambda self, name=name: function(name)(self))
    Tensor.__getitem__ = lambda self, key: function("getitem")(self, _index(key))
    Tensor.__array_namespace__ = _array_namespace
    Tensor.mT = property(lambda self: function("matrix_transpose")(self))
    Tensor.T = property(_transposed)
    Tensor.to_device = _to_device


def _index(key):
    if isinstance(key, tuple):
        return tuple(map(_raw, key))
    return _raw(key)


def _array_namespace(self, *, api_version=None):
    return differentiable(backend.namespace(self.data))


def _transposed(self):
    if self.ndim != 2:
        raise ValueError(
            f"T is for matrices, got {self.ndim} axes: use mT or lamina.xp.permute_dims"
        )
    return function("matrix_transpose")(self)


def _to_device(self, device, /, *, stream=None):
    """The tensor on another device of its library; a constant there."""
    if device == self.device:
        return self
    if self.requires_grad:
        raise NotImplementedError("moving a tensor has no derivative yet: move .detach()")
    from array_api_compat import to_device

    return Tensor._of(to_device(self.data, device))


_attach_operators()
