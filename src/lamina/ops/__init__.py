"""The room of ops: what deep learning needs beyond the array API standard, one family per file.

Every op is first a definition in array-API calls, to be read; ``lamina/kernels`` makes some fast.
"""

from lamina.ops._op import stop_gradient
from lamina.ops.special import erf

__all__ = ["erf", "stop_gradient"]
