"""The room of ops: what deep learning needs beyond the array API standard, one family per file.

Every op is first a definition in array-API calls, to be read; ``lamina/kernels`` makes some fast.
"""

from lamina.autograd import stop_gradient
from lamina.errors import missing
from lamina.ops.activations import (
    celu,
    elu,
    exponential,
    gelu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    linear,
    log_sigmoid,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    squareplus,
    tanh,
    tanh_shrink,
    threshold,
)
from lamina.ops.arranging import crop, pad, permute, repeat_vector
from lamina.ops.contracting import einsum
from lamina.ops.convolution import (
    conv,
    conv_max_pool,
    conv_transpose,
    depthwise_conv,
    separable_conv,
)
from lamina.ops.crossentropies import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    softmax_crossentropy,
    sparse_categorical_crossentropy,
)
from lamina.ops.fully_connected import dense
from lamina.ops.geometry import affine_transform, crop_each
from lamina.ops.losses import (
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    squared_hinge,
    sum_of_squares,
)
from lamina.ops.normalization import (
    batch_normalization,
    group_normalization,
    layer_normalization,
    rms_normalization,
    standardize,
    unit_normalization,
)
from lamina.ops.pooling import (
    adaptive_average_pool,
    adaptive_max_pool,
    average_pool,
    global_average_pool,
    global_max_pool,
    max_pool,
)
from lamina.ops.preparing import flatten, rescale
from lamina.ops.resizing import resize, up_sample
from lamina.ops.softmaxes import log_softmax, softmax, sparsemax
from lamina.ops.special import erf

__all__ = [
    "adaptive_average_pool",
    "adaptive_max_pool",
    "affine_transform",
    "average_pool",
    "batch_normalization",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "celu",
    "conv",
    "conv_max_pool",
    "conv_transpose",
    "cosine_similarity",
    "crop",
    "crop_each",
    "dense",
    "depthwise_conv",
    "einsum",
    "elu",
    "erf",
    "exponential",
    "flatten",
    "gelu",
    "global_average_pool",
    "global_max_pool",
    "glu",
    "group_normalization",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "hinge",
    "huber",
    "kl_divergence",
    "layer_normalization",
    "leaky_relu",
    "linear",
    "log_cosh",
    "log_sigmoid",
    "log_softmax",
    "max_pool",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mish",
    "pad",
    "permute",
    "poisson",
    "relu",
    "relu6",
    "repeat_vector",
    "rescale",
    "resize",
    "rms_normalization",
    "selu",
    "separable_conv",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softmax_crossentropy",
    "softplus",
    "softsign",
    "sparse_categorical_crossentropy",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squared_hinge",
    "squareplus",
    "standardize",
    "stop_gradient",
    "sum_of_squares",
    "tanh",
    "tanh_shrink",
    "threshold",
    "unit_normalization",
    "up_sample",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str):
    raise missing("op", name, __all__)
