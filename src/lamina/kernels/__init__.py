"""The room of fast paths: kernels for ops, equal to their definitions, by array library.

Importing this room registers them all. A kernel earns its place by measurement.
"""

from lamina.kernels import activations as activations
from lamina.kernels import arranging as arranging
from lamina.kernels import convolution as convolution
from lamina.kernels import convolution_pooled as convolution_pooled
from lamina.kernels import convolution_portable as convolution_portable
from lamina.kernels import dense as dense
from lamina.kernels import fused_activations as fused_activations
from lamina.kernels import fused_crossentropy as fused_crossentropy
from lamina.kernels import fused_normalization as fused_normalization
from lamina.kernels import fused_softmax as fused_softmax
from lamina.kernels import gated as gated
from lamina.kernels import losses as losses
from lamina.kernels import normalization as normalization
from lamina.kernels import pooling as pooling
from lamina.kernels import pooling_numpy as pooling_numpy
from lamina.kernels import portable as portable
from lamina.kernels import portable_normalization as portable_normalization
from lamina.kernels import preparing as preparing
from lamina.kernels import resizing as resizing
from lamina.kernels import softmax_crossentropy as softmax_crossentropy
