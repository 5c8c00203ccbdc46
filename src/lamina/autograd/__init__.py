"""The room of derivatives: tensors, the tape, the rules, the differentiable namespace.

Read in this order: ``_rules.py`` (the mathematics), ``_tensor.py`` (the value that remembers),
``_tape.py`` (the sweep), ``_functions.py`` (how a function comes to record), ``_namespace.py``,
``_definitions.py`` (functions made of others), ``_functional.py``.
"""

from lamina.autograd import _definitions as _definitions  # functions made of others
from lamina.autograd import _operators as _operators  # gives Tensor its operators
from lamina.autograd._debug import debug_nans
from lamina.autograd._functional import grad, value_and_grad
from lamina.autograd._namespace import differentiable, namespace
from lamina.autograd._tape import clock, no_grad, sweep, vertex_of
from lamina.autograd._tensor import Parameter, Tensor

__all__ = [
    "Parameter",
    "Tensor",
    "clock",
    "debug_nans",
    "differentiable",
    "grad",
    "namespace",
    "no_grad",
    "sweep",
    "value_and_grad",
    "vertex_of",
]
