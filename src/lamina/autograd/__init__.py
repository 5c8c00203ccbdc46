"""The room of derivatives: tensors, the tape, the rules, the differentiable namespace.

Read in this order: ``_rules.py`` (the mathematics), ``_tensor.py`` (the value that remembers),
``_tape.py``, ``_sweep.py`` (the way back), ``_functions.py`` (how a function comes to record),
``_namespace.py``, ``_definitions.py`` (functions made of others), ``_functional.py``,
``_forward.py`` (the way ahead); then ``_primitive.py``, ``_custom.py``, ``_checkpoint.py``.
"""

from lamina.autograd import _definitions as _definitions  # functions made of others
from lamina.autograd import _operators as _operators  # gives Tensor its operators
from lamina.autograd._checkpoint import checkpoint, stop_gradient
from lamina.autograd._custom import custom_vjp
from lamina.autograd._debug import debug_nans
from lamina.autograd._forward import jvp, linearize
from lamina.autograd._functional import grad, value_and_grad, vjp
from lamina.autograd._matrices import hessian, hvp, jacobian
from lamina.autograd._namespace import differentiable, namespace
from lamina.autograd._primitive import primitive
from lamina.autograd._sweep import sweep
from lamina.autograd._tape import clock, no_grad, vertex_of
from lamina.autograd._tensor import Parameter, Tensor

__all__ = [
    "Parameter",
    "Tensor",
    "checkpoint",
    "clock",
    "custom_vjp",
    "debug_nans",
    "differentiable",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "linearize",
    "namespace",
    "no_grad",
    "primitive",
    "stop_gradient",
    "sweep",
    "value_and_grad",
    "vertex_of",
    "vjp",
]
