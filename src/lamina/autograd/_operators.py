"""The operators, attributes and methods of Tensor that compute: functions of the namespace."""

from lamina import backend
from lamina.autograd import _protocols as _protocols  # writing, NumPy, DLPack, devices
from lamina.autograd._functions import function
from lamina.autograd._namespace import of_tensors, standard
from lamina.autograd._protocols import augmented, index
from lamina.autograd._standard import EXTENSIONS, KNOWN_VERSIONS, elsewhere
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

    def operator(self, other, /):
        if type(other) in _KINDS or isinstance(other, _OPERANDS) or backend.is_array(other):
            return compute(self, other)
        return NotImplemented

    def mirrored(self, other, /):
        if type(other) in _KINDS or isinstance(other, _OPERANDS) or backend.is_array(other):
            return compute(other, self)
        return NotImplemented

    return mirrored if reflected else operator


def _unary(name):
    def operator(self, /):
        return function(name)(self)

    return operator


_OPERANDS = (Tensor, int, float, bool, complex)
_KINDS = frozenset(_OPERANDS)  # a look-up is quicker than isinstance


def _attach_operators() -> None:
    for dunder, name in (_BINARY | _COMPARISONS).items():
        _give(f"__{dunder}__", _binary(name))
    for dunder, name in _BINARY.items():
        _give(f"__r{dunder}__", _binary(name, reflected=True))
        _give(f"__i{dunder}__", augmented(getattr(Tensor, f"__{dunder}__")))
    for dunder, name in _UNARY.items():
        _give(f"__{dunder}__", _unary(name))
    Tensor.__getitem__ = _getitem
    Tensor.__array_namespace__ = _array_namespace
    Tensor.mT = property(lambda self: function("matrix_transpose")(self))
    Tensor.T = property(_transposed)
    Tensor.__dir__ = _dir
    for name in _FUNCTIONS:
        setattr(Tensor, name, _Function(name))


def _give(name, method) -> None:
    method.__name__ = method.__qualname__ = name
    setattr(Tensor, name, method)


def _getitem(self, key, /):
    return function("getitem")(self, index(key))


def _array_namespace(self, /, *, api_version=None):
    """The differentiable namespace of this tensor's library; what it makes are tensors."""
    if api_version is not None and api_version not in KNOWN_VERSIONS:
        raise ValueError(
            f"lamina.xp follows the standard's version {KNOWN_VERSIONS[-1]} and serves those of "
            f"{', '.join(KNOWN_VERSIONS[:-1])}, got api_version={api_version!r}"
        )
    return of_tensors(backend.namespace(self.data))


# Methods of NumPy's arrays and PyTorch's tensors that the standard has as functions.
_FUNCTIONS = """all any argmax argmin astype clip cumsum dot exp log max mean min prod ravel reshape
    round sqrt squeeze std sum tanh trace transpose var""".split()


class _Function:
    """Stands where others have a method, to say which function does it.

    An attribute that fails, not ``__getattr__``, which makes every look-up of any attribute slower.
    """

    def __init__(self, name):
        self._name = name

    def __get__(self, tensor, kind):
        name = self._name
        within = (f"{home}.{name}" for home, names in EXTENSIONS.items() if name in names)
        known = name in standard()
        ours = name if known else elsewhere(name) or next(within)
        raise AttributeError(
            f"{kind.__name__!r} object has no attribute {name!r}: use lamina.xp.{ours}(x)"
        )


def _dir(self) -> list[str]:
    return [name for name in object.__dir__(self) if name not in _FUNCTIONS]


def _transposed(self):
    if self.ndim != 2:
        raise ValueError(
            f"T is for matrices, got {self.ndim} axes: use mT or lamina.xp.permute_dims"
        )
    return function("matrix_transpose")(self)


_attach_operators()
