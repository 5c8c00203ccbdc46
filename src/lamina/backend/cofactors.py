"""The matrix of cofactors, also of a singular matrix, which the array API standard leaves out."""

from lamina.backend._backend import namespace


def cofactors(x):
    """det(x) x^-T, the derivative of det(x), for stacks of square matrices of any rank.

    With x = U diag(s) Vh it is det(U) det(Vh) conj(U) diag(products of the other s) conj(Vh).
    """
    xp = namespace(x)
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    n = s.shape[-1]
    before = xp.cumulative_prod(s, axis=-1, include_initial=True)[..., :n]
    after = xp.flip(s, axis=-1)
    after = xp.cumulative_prod(after, axis=-1, include_initial=True)[..., :n]
    others = before * xp.flip(after, axis=-1)
    turn = xp.linalg.det(u) * xp.linalg.det(vh)
    u, vh = xp.conj(u), xp.conj(vh)
    return (u * xp.expand_dims(turn[..., None] * others, axis=-2)) @ vh
