"""Half precision: which arrays are of it."""

from lamina.dtype_policies import HALVES

_known: dict[type, dict] = {}  # by type, since dtypes of two libraries may not be comparable


def is_half(dtype) -> bool:
    """Whether a dtype of any library is float16 or bfloat16."""
    known = _known.setdefault(type(dtype), {})
    found = known.get(dtype)
    if found is None:
        found = known[dtype] = str(dtype).rpartition(".")[2] in HALVES
    return found
