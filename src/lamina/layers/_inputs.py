"""One input or several: their shapes, and samples to try a layer on.

The shape of one input is a tuple; of several it is a list of tuples, in their order.
"""

from lamina.autograd import Tensor


def is_several(shape) -> bool:
    """Whether ``shape`` is that of several inputs."""
    return bool(shape) and isinstance(shape[0], tuple | list)


def as_shape(shape):
    """A shape that may be given as lists, as a tuple or a list of tuples."""
    return [tuple(one) for one in shape] if is_several(shape) else tuple(shape)


def each(shape) -> list:
    """The shapes of the inputs, as a list also where there is one."""
    return shape if is_several(shape) else [shape]


def shape_of(values):
    """The shape of a tensor, or those of several in lists and tuples."""
    if isinstance(values, list | tuple):
        return [shape_of(value) for value in values]
    return tuple(values.shape)


def of_samples(shape):
    """``shape`` with None for the batch."""
    if is_several(shape):
        return [(None, *one[1:]) for one in shape]
    return (None, *shape[1:])


def common(one, other):
    """``one``, with None where ``other`` differs; of results, hence tuples or lists of them."""
    if isinstance(one, list):
        return [common(a, b) for a, b in zip(one, other, strict=True)]
    return tuple(n if n == m else None for n, m in zip(one, other, strict=True))


def with_batch(shape, batch):
    """The shape, or shapes, of results with the length of the batch put in."""
    if isinstance(shape, list):
        return [with_batch(one, batch) for one in shape]
    return (batch, *shape[1:])


def first(inputs) -> Tensor:
    """The input, or the first of several."""
    return inputs[0] if isinstance(inputs, list) else inputs


def told(shape) -> str:
    """The shape, or shapes, as a message says them."""
    if not is_several(shape):
        return f"one input of shape {tuple(shape)}"
    return f"a list of {len(shape)} inputs of shapes {', '.join(str(tuple(one)) for one in shape)}"
