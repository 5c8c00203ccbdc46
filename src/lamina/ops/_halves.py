"""Half precision: which arrays are of it, and what is done in float32 all the same."""

import functools

from lamina.dtype_policies import HALVES


@functools.lru_cache(maxsize=64)
def is_half(dtype) -> bool:
    """Whether a dtype of any library is float16 or bfloat16."""
    return str(dtype).rpartition(".")[2] in HALVES
