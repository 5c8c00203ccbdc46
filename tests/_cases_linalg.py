"""Cases of the rules for linear algebra, of real and of complex matrices."""

import math

import numpy as np

from _cases import Case, complexes, floats, spaced


def cases():
    for f in (floats, complexes):
        yield from products(f)
        yield from inverses(f)
        yield from diagonals(f)
        yield from factorizations(f)
        yield from norms(f)


def wide_apart(x):
    """A matrix of the same singular vectors whose singular values lie between 1 and 2, apart."""
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return (u * np.linspace(2.0, 1.0, s.shape[-1])) @ vh


def away(x):
    """The same numbers moved from 0, where norms have kinks and powers of them no bounds."""
    return x + 0.5 * x / np.abs(x)


def products(f):
    yield Case("linalg.outer", f(3), f(2))
    yield Case("linalg.outer", spaced(f(3)), f(0))
    for s1, s2, axis in [((3,), (3,), -1), ((2, 3), (3,), -1), ((3, 1), (2, 3, 4), -2)]:
        yield Case("linalg.cross", f(*s1), f(*s2), axis=axis)
    yield Case("linalg.cross", f(0, 3), f(3))
    x = wide_apart(f(2, 3, 3))
    for n in (1, 5, -2):
        yield Case("linalg.matrix_power", x, n)


def inverses(f):
    for x in (
        wide_apart(f(3, 3)),
        wide_apart(f(2, 2, 2)),
        wide_apart(f(3, 3)).T,
        f(0, 2, 2),
        f(0, 0),
    ):
        for name in ("inv", "det", "slogdet", "pinv"):
            yield Case(f"linalg.{name}", x)
        yield Case("cofactors", x)
    for s1, s2 in [((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 2, 2), (2,)), ((2, 2), (3, 2, 1)),
                   ((2, 1, 2, 2), (3, 2, 2)), ((0, 2, 2), (2,))]:  # fmt: skip
        yield Case("linalg.solve", wide_apart(f(*s1)) if 0 not in s1 else f(*s1), f(*s2))
    for s in [(4, 2), (2, 4), (2, 3, 2)]:
        yield Case("linalg.pinv", wide_apart(f(*s)))
    yield Case("linalg.pinv", wide_apart(f(4, 3)), rtol=1e-4, before=of_rank_two)


def of_rank_two(xp, x):
    return x[:, :2] @ x[:2, :]


def diagonals(f):
    for offset in (1, -2, -4):
        yield Case("linalg.trace", f(3, 4), offset=offset)
        yield Case("linalg.diagonal", f(3, 4), offset=offset)
    for x in (f(2, 3, 2), f(0, 2, 3), f(2, 0, 3), spaced(f(2, 2))):
        yield Case("linalg.trace", x)
        yield Case("linalg.diagonal", x, offset=1)


def factorizations(f):
    is_complex = f is complexes
    x = f(3, 3)
    for upper in (False, True):
        yield Case("linalg.cholesky", x, upper=upper, before=positive)
        yield Case("linalg.cholesky", f(2, 2, 2), upper=upper, before=positive)
        yield Case("linalg.cholesky", f(0, 2, 2), upper=upper, before=positive)
    for x in (apart(f(3, 3)), apart(f(2, 2, 2)), f(0, 2, 2), f(0, 0)):
        yield Case("linalg.eigvalsh", x, before=hermitian)
        yield Case("linalg.eigh", x, before=hermitian, after=sizes if is_complex else None)
        yield Case("linalg.eigh", x, before=hermitian, after=rebuilt)
    x = np.diag([-2.0, 0.5, 1.5]) + 0.2 * f(3, 3)
    for turnable in (x, np.stack([x, x.T])):
        yield Case("linalg.eigvals", turnable)
        yield Case("linalg.eig", turnable, after=sizes)
    for s in [(3, 3), (4, 2), (2, 4), (2, 2, 3), (0, 2), (2, 0), (0, 2, 2)]:
        x = f(*s) if 0 in s else wide_apart(f(*s))
        yield Case("linalg.qr", x)
        yield Case("linalg.svdvals", x)
        for full in (True, False) if s[-2:] == (3, 3) else (False,):
            after = sizes if is_complex else None
            yield Case("linalg.svd", x, full_matrices=full, after=after)
        yield Case("linalg.svd", x, full_matrices=False, after=polar)
    yield Case("linalg.qr", wide_apart(f(2, 3)), mode="complete")
    yield Case("linalg.qr", spaced(wide_apart(f(3, 2))))
    yield Case("linalg.svd", wide_apart(f(4, 3)), after=singular_values)


def apart(x):
    """A matrix whose Hermitian part has eigenvalues apart from one another."""
    return x * 0.2 + np.diag(np.arange(x.shape[-1]))


def hermitian(xp, x):
    return 0.5 * (x + xp.conj(xp.matrix_transpose(x)))


def positive(xp, x):
    shift = xp.linalg.trace(xp.real(x * xp.conj(x)))
    eye = xp.eye(x.shape[-1], dtype=xp.bool, device=x.device)
    square = x @ xp.conj(xp.matrix_transpose(x))
    return square + xp.where(eye, 1.0 + shift[..., None, None], 0.0 * xp.real(square))


def sizes(xp, out):
    """What does not change with the phases of vectors."""
    return tuple(xp.abs(part) for part in out)


def rebuilt(xp, out):
    vectors = out[1]
    scaled = vectors * xp.sin(out[0])[..., None, :]
    return scaled @ xp.conj(xp.matrix_transpose(vectors))


def polar(xp, out):
    u, s, vh = out
    return u @ vh, (u * xp.sin(s)[..., None, :]) @ vh


def singular_values(xp, out):
    return out[1]


def norms(f):
    for order in (0, 1, 2, 3, 2.5, 0.5, -1, -2, math.inf, -math.inf):
        yield Case("linalg.vector_norm", away(f(2, 3, 2)), ord=order, axis=1)
    for order in (1, 2, 3, math.inf):
        yield Case("linalg.vector_norm", away(f(2, 3)), ord=order)
        yield Case("linalg.vector_norm", away(f(2, 3, 2)), ord=order, axis=(0, -1), keepdims=True)
    for order in (1, 2, 3):
        yield Case("linalg.vector_norm", f(0, 3), ord=order, axis=0)
    yield Case("linalg.vector_norm", spaced(f(3)))
    yield Case("linalg.vector_norm", f())
    for order in ("fro", None, "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        yield Case("linalg.matrix_norm", wide_apart(f(3, 2)), ord=order)
    for order in ("fro", "nuc", 1, 2):
        yield Case("linalg.matrix_norm", wide_apart(f(2, 2, 3)), ord=order, keepdims=True)
        yield Case("linalg.matrix_norm", f(0, 2, 3), ord=order)
