"""Layers that merge several inputs into one: called on a list of them."""

from lamina import xp
from lamina.layers._inputs import is_several
from lamina.layers._layer import Layer
from lamina.ops.normalization import unit_normalization


class Merge(Layer):
    """What the merging layers share. Inputs are broadcast, each sample for itself.

    An input with fewer axes than others gets axes of 1 behind that of the batch.

    Example, in the ``call`` of a layer that has ``self.conv`` and ``self.sum = layers.Add()``:
        >>> return self.sum([inputs, self.conv(inputs)])
    """

    takes_several = True
    least = 1  # how many inputs there must be
    most = None

    def check_input(self, shape):
        if not is_several(shape):
            raise self.input_error(
                f"a list of {self._wanted()} inputs",
                shape,
                "merge in the call of a layer or model of your own: self.merge([x, self.conv(x)])",
            )
        if len(shape) < self.least or (self.most is not None and len(shape) > self.most):
            raise self.input_error(f"a list of {self._wanted()} inputs", shape)
        super().check_input(shape)
        self.check_shapes(shape)

    def _wanted(self) -> str:
        return f"{self.least}" if self.most == self.least else f"{self.least} or more"

    def check_shapes(self, shapes) -> None:
        """Raise where the inputs do not go together."""
        merged = shapes[0]
        for shape in shapes[1:]:
            merged = self._broadcast(merged, shape, shapes)

    def _broadcast(self, one, other, shapes):
        if not one or not other:
            raise self.input_error("inputs with a batch axis", shapes)
        ndim = max(len(one), len(other))
        long, short = (_widened(s, ndim) for s in (one, other))
        merged = []
        for i, (n, m) in enumerate(zip(long, short, strict=True)):
            if n is not None and m is not None and n != m and (i == 0 or 1 not in (n, m)):
                raise ValueError(
                    f"{self} expects inputs whose shapes can be broadcast, got "
                    f"{' and '.join(str(tuple(s)) for s in shapes)}: axis {i} differs, {n} and {m}"
                )
            merged.append(m if n in (1, None) and i else n)
        return tuple(merged)

    def call(self, inputs):
        ndim = max(len(x.shape) for x in inputs)
        inputs = [
            x if len(x.shape) == ndim else xp.reshape(x, _widened(x.shape, ndim)) for x in inputs
        ]
        return self.merge(inputs)

    def merge(self, inputs):
        """The mathematics, for inputs with as many axes."""
        merged = inputs[0]
        for x in inputs[1:]:
            merged = self.pair(merged, x)
        return merged


class Add(Merge):
    """The sum of the inputs: ``a + b + ...``."""

    pair = staticmethod(lambda a, b: a + b)


class Subtract(Merge):
    """The difference of two inputs: ``a - b``."""

    least = most = 2
    pair = staticmethod(lambda a, b: a - b)


class Multiply(Merge):
    """The product of the inputs, element by element: ``a * b * ...``."""

    pair = staticmethod(lambda a, b: a * b)


class Average(Merge):
    """The mean of the inputs, element by element."""

    pair = staticmethod(lambda a, b: a + b)

    def merge(self, inputs):
        return super().merge(inputs) * (1.0 / len(inputs))


class Maximum(Merge):
    """The largest of the inputs, element by element; where several are, they share the gradient."""

    pair = staticmethod(xp.maximum)


class Minimum(Merge):
    """The least of the inputs, element by element; where several are, they share the gradient."""

    pair = staticmethod(xp.minimum)


class Concatenate(Merge):
    """The inputs one after the other along ``axis``, counted with the batch as 0."""

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ValueError(f"{self} needs axis as a whole number, got {axis!r}")
        self.axis = axis

    def call(self, inputs):
        return xp.concat(inputs, axis=self.axis)

    def check_shapes(self, shapes):
        first = shapes[0]
        ndim = len(first)
        if not -ndim <= self.axis < ndim:
            raise self.input_error(f"inputs with an axis {self.axis}", shapes)
        for shape in shapes[1:]:
            same = len(shape) == ndim and all(
                n == m or n is None or m is None or i == self.axis % ndim
                for i, (n, m) in enumerate(zip(first, shape, strict=True))
            )
            if not same:
                raise ValueError(
                    f"{self} expects inputs of one shape but for axis {self.axis}, got "
                    f"{' and '.join(str(tuple(s)) for s in shapes)}"
                )

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


class Dot(Merge):
    """Two inputs' products, summed along an axis of each: sample by sample a tensor product.

    For a of shape (batch, i, k), b of shape (batch, j, k) and ``axes=2`` the result has shape
    (batch, i, j): the dot product of every row of a with every row of b. The axes of a but the
    batch and the summed one come first, then those of b.

    Args:
        axes: the axis to sum along, or a pair of one of a and one of b; counted with the batch
            as 0, which it cannot be.
        normalize: whether rows are brought to length 1 along the axes first, which makes the
            products cosines.
    """

    least = most = 2

    def __init__(self, axes, normalize=False, **kwargs):
        super().__init__(**kwargs)
        pair = (axes, axes) if isinstance(axes, int) else tuple(axes)
        if len(pair) != 2 or any(isinstance(a, bool) or not isinstance(a, int) for a in pair):
            raise ValueError(f"{self} needs axes as a whole number or a pair of them, got {axes!r}")
        self.axes = axes if isinstance(axes, int) else list(axes)
        self._pair = pair
        self.normalize = normalize

    def call(self, inputs):
        a, b = inputs
        one, other = (axis % len(x.shape) for axis, x in zip(self._pair, inputs, strict=True))
        if self.normalize:
            a, b = unit_normalization(a, axis=one), unit_normalization(b, axis=other)
        a, b = xp.moveaxis(a, one, -1), xp.moveaxis(b, other, -1)
        rows, columns = a.shape[1:-1], b.shape[1:-1]
        batch, summed = a.shape[0], a.shape[-1]
        a = xp.reshape(a, (batch, _product(rows), summed))
        b = xp.reshape(b, (batch, _product(columns), summed))
        out = xp.matmul(a, xp.matrix_transpose(b))
        return xp.reshape(out, (batch, *(rows + columns or (1,))))

    def check_shapes(self, shapes):
        lengths = []
        for shape, axis in zip(shapes, self._pair, strict=True):
            if not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
                raise self.input_error(f"inputs with axes {self.axes} behind the batch's", shapes)
            lengths.append(shape[axis])
        if None not in lengths and lengths[0] != lengths[1]:
            raise ValueError(
                f"{self} sums along axes of one length, got {lengths[0]} and {lengths[1]} along "
                f"axes {self._pair} of {' and '.join(str(tuple(s)) for s in shapes)}"
            )
        if None not in (shapes[0][0], shapes[1][0]) and shapes[0][0] != shapes[1][0]:
            raise self.input_error("as many samples in both inputs", shapes)

    def get_config(self):
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


def _widened(shape, ndim):
    """A shape with axes of 1 behind the batch's, up to so many axes."""
    return (shape[0], *(1,) * (ndim - len(shape)), *shape[1:])


def _product(shape) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def add(inputs, **kwargs):
    """The sum of a list of inputs: see ``Add``."""
    return Add(**kwargs)(inputs)


def subtract(inputs, **kwargs):
    """The difference of two inputs: see ``Subtract``."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs, **kwargs):
    """The product of a list of inputs: see ``Multiply``."""
    return Multiply(**kwargs)(inputs)


def average(inputs, **kwargs):
    """The mean of a list of inputs: see ``Average``."""
    return Average(**kwargs)(inputs)


def maximum(inputs, **kwargs):
    """The largest of a list of inputs: see ``Maximum``."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs, **kwargs):
    """The least of a list of inputs: see ``Minimum``."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs, axis=-1, **kwargs):
    """A list of inputs one after the other along ``axis``: see ``Concatenate``."""
    return Concatenate(axis, **kwargs)(inputs)


def dot(inputs, axes=-1, **kwargs):
    """The products of two inputs summed along ``axes``: see ``Dot``."""
    return Dot(axes, **kwargs)(inputs)
