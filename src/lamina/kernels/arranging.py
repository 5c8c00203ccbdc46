"""Elements in other places: nothing to gain but that a network stays a chain of kernels."""

from lamina.ops._op import kernel
from lamina.ops.arranging import check_pairs, inner


@kernel("pad")
def pad(xp, needs, x, *, pad_width, value):
    """In one array; back by cropping."""
    check_pairs("pad_width", pad_width, x.ndim)
    shape = tuple(a + n + b for n, (a, b) in zip(x.shape, pad_width))
    out = xp.full(shape, value, dtype=x.dtype, device=x.device)
    key = tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, pad_width))
    out[key] = x
    return out, lambda g: (g[key],)


@kernel("crop")
def crop(xp, needs, x, *, cropping):
    """Back by padding with zeros."""
    shape, key = x.shape, inner(x.shape, cropping)

    def pullback(g):
        d = xp.zeros(shape, dtype=g.dtype, device=g.device)
        d[key] = g
        return (d,)

    return x[key], pullback


@kernel("permute")
def permute(xp, needs, x, *, axes):
    """Back in the opposite order."""
    back = sorted(range(len(axes)), key=axes.__getitem__)
    return xp.permute_dims(x, tuple(axes)), lambda g: (xp.permute_dims(g, tuple(back)),)


@kernel("repeat_vector")
def repeat_vector(xp, needs, x, *, n):
    """Back by the sum of the copies."""
    out = xp.broadcast_to(xp.expand_dims(x, axis=1), (x.shape[0], n, x.shape[1]))
    return out, lambda g: (xp.sum(g, axis=1),)
