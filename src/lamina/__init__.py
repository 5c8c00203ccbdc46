"""lamina: deep learning in plain Python on the array API standard."""

from lamina import autograd, backend, config
from lamina import xp as xp
from lamina.autograd import Parameter, Tensor, debug_nans, grad, no_grad, value_and_grad
from lamina.backend import use

__version__ = "0.1.0"
