"""Tensor: an array that remembers how it was computed; and Parameter, one that a model trains.

A Tensor is a value. Its operators and methods are the standard's, and are attached in
``_operators.py``; how it is written to and how it meets other libraries, in ``_protocols.py``.
"""

import math

from lamina import backend

FLOATING = ("real floating", "complex floating")
LOST = "of a tensor would lose its gradient"


class Tensor:
    """An array with a memory.

    Args:
        data: an array of any backend, or numbers, lists and anything else that
            ``backend.get().asarray`` takes (Python floats become ``config.floatx()``, float32 as it
            starts, where those of ``lamina.xp.asarray`` become the array library's default).
        requires_grad: whether gradients of results with respect to this tensor will be asked for.

    Attributes:
        data: the raw array.
        grad: after ``backward``, the gradient as a raw array; None before. It may share its memory
            with other gradients: replace it, do not write into it.
        requires_grad: whether this tensor, or anything it was computed from, requires a gradient.

    Raises:
        TypeError: for ``requires_grad`` on integers or booleans, which have no derivative.

    Example:
        >>> x = lamina.Tensor([1.0, 2.0], requires_grad=True)
        >>> lamina.xp.sum(x * x).backward()
        >>> x.grad
        array([2., 4.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_node", "data", "grad", "requires_grad")
    changed_at = -1  # when the value was last changed in place, on the tape's clock: never
    __array_priority__ = 1000
    __hash__ = object.__hash__

    def __init__(self, data, requires_grad: bool = False):
        if isinstance(data, Tensor):
            data = data.data
        elif not backend.is_array(data):
            data = backend.get().asarray(data)
        if requires_grad and not backend.namespace(data).isdtype(data.dtype, FLOATING):
            raise TypeError(
                "only floating-point tensors can require a gradient, got "
                f"{backend.of(data).dtype_name(data.dtype)}: convert first, for example "
                "lamina.Tensor(x.astype('float32'), requires_grad=True)"
            )
        self.data = data
        self.grad = None
        self.requires_grad = bool(requires_grad)
        self._node = None

    @classmethod
    def _of(cls, data, node=None) -> "Tensor":
        """A result: ``data`` computed at ``node``, or a constant where ``node`` is None."""
        self = Tensor.__new__(Tensor)
        self.data = data
        self.grad = None
        self.requires_grad = node is not None
        self._node = node
        return self

    def backward(
        self, gradient=None, *, create_graph: bool = False, retain_graph: bool = False
    ) -> None:
        """Add the gradient of this tensor to ``.grad`` of every leaf it was computed from.

        Args:
            gradient: the gradient of something further on with respect to this tensor, of its
                shape; may be left out for a single real number, where it is 1.
            create_graph: make ``.grad`` a tensor that remembers how it was computed, for
                derivatives of it, and keep the tape. Such a gradient holds on to its leaf and the
                leaf to it: set ``.grad`` to None when done.
            retain_graph: keep the tape, so that it can be swept again.

        Raises:
            RuntimeError: where nothing behind this tensor requires a gradient, or the tape behind
                it was swept already.
            ValueError: for several numbers without ``gradient``, or one of another shape.
            TypeError: for a complex ``gradient`` of real numbers, or a complex tensor without one.
        """
        from lamina.autograd._sweep import sweep
        from lamina.autograd._tape import as_tensor

        if not self.requires_grad:
            raise RuntimeError(
                "nothing behind this tensor requires a gradient: make one with "
                "lamina.Tensor(data, requires_grad=True), and compute outside of no_grad()"
            )
        seed = self._seed(gradient, create_graph)
        found = sweep([(self, seed)], None, create_graph, retain_graph)
        for leaf, g in found.items():
            before = as_tensor(leaf.grad) if isinstance(g, Tensor) else leaf.grad
            leaf.grad = g if before is None else before + g

    def _seed(self, gradient, create_graph=False):
        from lamina.autograd._functional import fitting, in_kind

        xp = backend.namespace(self.data)
        if gradient is None:
            if self.size != 1:
                raise ValueError(
                    f"the gradient of a tensor of shape {tuple(self.shape)} needs to know of what: "
                    "reduce it to one number first (lamina.xp.sum), or pass gradient= of that shape"
                )
            if xp.isdtype(self.dtype, "complex floating"):
                raise TypeError(
                    "the gradient of a complex number needs to know of which real one: take "
                    "lamina.xp.real or lamina.xp.abs of it, or pass gradient="
                )
            return in_kind(xp.ones_like(self.data), create_graph)
        if isinstance(gradient, list | tuple):
            gradient = backend.of(self.data).asarray(gradient)
        return in_kind(fitting(gradient, self, "gradient=", "tensor"), create_graph)

    def detach(self) -> "Tensor":
        """The same value without its memory: a constant to every derivative."""
        return Tensor._of(self.data)

    def numpy(self):
        """A copy of the value as a NumPy array in host memory."""
        return backend.of(self.data).to_numpy(self.data).copy()

    def item(self):
        """The value of a tensor of one element as a Python number."""
        return backend.of(self.data).scalar(backend.namespace(self.data).reshape(self.data, ()))

    @property
    def dtype(self):
        return self.data.dtype

    @property
    def shape(self) -> tuple:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return math.prod(self.data.shape)

    @property
    def device(self):
        from array_api_compat import device

        return device(self.data)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a tensor without axes has no length")
        return self.shape[0]

    def __iter__(self):
        return (self[i, ...] for i in range(len(self)))

    def __bool__(self, /) -> bool:
        return bool(self.item())

    def __float__(self, /) -> float:
        return float(self._plain("float"))

    def __int__(self, /) -> int:
        return int(self._plain("int"))

    def __complex__(self, /) -> complex:
        return complex(self._plain("complex"))

    def _plain(self, kind: str):
        """The value for a conversion that may be hidden, as in ``math.sin(tensor)``."""
        if self.requires_grad:
            raise TypeError(
                f"{kind}() {LOST}, as functions of math do: use those of lamina.xp, or say .item() "
                "where a plain number is meant"
            )
        return self.item()

    def __index__(self, /) -> int:
        return self.data.__index__()

    def __repr__(self) -> str:
        body = repr(self.data)
        tail = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({body}{tail})"


class Parameter(Tensor):
    """A named array that a model holds and, if ``trainable``, an optimizer changes.

    Unlike other tensors its value changes: ``assign`` and optimizers replace or rewrite ``data``.
    A gradient through a value that has since changed is an error, never silently wrong.

    Args:
        data: the raw array it starts from.
        name: its name within the layer, such as "kernel".
        trainable: whether it requires a gradient.
        regularizer: None, or a function from the parameter to a penalty added to the loss.
        constraint: None, or a function from the raw array to one that satisfies the constraint.
    """

    def __init__(self, data, name="parameter", trainable=True, regularizer=None, constraint=None):
        super().__init__(data, requires_grad=trainable)
        self.name = name
        self.regularizer = regularizer
        self.constraint = constraint

    @property
    def trainable(self) -> bool:
        return self.requires_grad

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.requires_grad = bool(value)

    def assign(self, value) -> None:
        """Give the parameter a new value of its shape, converted to its dtype and device.

        Raises:
            ValueError: for another shape.
        """
        if isinstance(value, Tensor):
            value = value.data
        place = backend.of(self.data)
        given = place.asarray(value, self.data.dtype)
        if tuple(given.shape) != tuple(self.shape):
            raise ValueError(
                f'parameter "{self.name}" has shape {tuple(self.shape)}, '
                f"got a value of shape {tuple(given.shape)}"
            )
        given = backend.namespace(given).asarray(given, copy=True)
        self.data = backend.memory.on_a_line(given)  # never an alias of what the caller holds
        self.changed()

    def changed(self) -> None:
        """Note that ``data`` was rewritten: tapes recorded before are no longer valid."""
        from lamina.autograd._tape import clock

        self.changed_at = next(clock)

    def __repr__(self) -> str:
        kind = "" if self.trainable else ", trainable=False"
        return f'Parameter("{self.name}", shape={tuple(self.shape)}, dtype={self.dtype}{kind})'


backend.waits.of_tensors(Tensor)
