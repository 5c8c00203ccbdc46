"""What an op is: a definition you can read, and, where it pays, a kernel that is fast.

``@op`` turns a definition, an ordinary function of array-API calls whose first parameter is the
namespace, into a function of arrays and tensors. ``@kernel`` gives it a fast path for one array
library or for all. Raw arrays in, raw arrays out; with tensors the result is recorded: as one node
where there is a kernel, else through the definition's own functions. A backward pass that must
itself be differentiated always replays the definition.

``@lamina.primitive`` is for the few functions, such as erf, that the standard's functions cannot
express: a raw implementation with rules of its own.
"""

import functools
import importlib
import inspect

from lamina import backend
from lamina.autograd import _debug, differentiable, vertex_of
from lamina.autograd import primitive as primitive
from lamina.autograd import stop_gradient as stop_gradient
from lamina.autograd._functions import refuse_libraries, refuse_mixture
from lamina.autograd._namespace import NUMBERS
from lamina.autograd._tape import KernelNode, Output, as_tensor, mode
from lamina.autograd._tensor import Tensor
from lamina.backend._backend import _namespaces as SPACES

OPS: dict[str, object] = {}
KERNELS: dict[str, dict[str, object]] = {}
"""Kernels by op and namespace; "portable" serves every namespace that has none of its own."""


class _Room:
    """The room of kernels, which stands on this one: opened when an op is first called."""

    open = False

    def enter(self) -> None:
        importlib.import_module("lamina.kernels")  # for which a second thread waits
        self.open = True


_room = _Room()


def op(definition):
    """Make an op of its definition.

    The definition's first parameter is ``xp``; its positional parameters are arrays (tensors,
    Python numbers, None), its keyword-only parameters are options. Callers leave ``xp`` out and may
    give options by position too, after the arrays.
    """
    name = definition.__name__
    code = definition.__code__
    arrays = code.co_varnames[1 : code.co_argcount]
    options = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    count = len(arrays)
    array_names = frozenset(arrays)
    none_needed = (False,) * count
    option_defaults = definition.__kwdefaults__ or {}
    kernels = KERNELS.setdefault(name, {})

    @functools.wraps(definition)
    def call(*args, **settings):
        if len(args) != count or settings.keys() & array_names:
            args, settings = _bound(call, args, settings)
        raws, xp, tensors, tracked = [], None, False, False
        for arg in args:
            if isinstance(arg, Tensor):
                tensors = True
                tracked = tracked or arg.requires_grad
                arg = arg.data
            if type(arg) not in NUMBERS:
                if xp is None:
                    xp = backend.namespace(arg)
                elif SPACES.get(type(arg)) is not xp:
                    refuse_libraries(name, xp, (*raws, arg))
            raws.append(arg)
        if xp is None:
            xp = backend.get().xp
        record = tracked and mode.enabled
        if not _room.open:
            _room.enter()
        fast = (kernels.get(backend.name(xp)) or kernels.get("portable")) if kernels else None
        if option_defaults:
            settings = {**option_defaults, **settings}
        needs = none_needed
        if record:
            needs = tuple([isinstance(a, Tensor) and a.requires_grad for a in args])
        try:
            done = fast(xp, needs, *raws, **settings) if fast is not None else NotImplemented
            if done is NotImplemented:
                if tensors:
                    return definition(differentiable(xp), *map(as_tensor, args), **settings)
                return definition(xp, *args, **settings)
        except Exception:
            refuse_mixture(name, raws)
            raise
        out, pullback = done
        if _debug.enabled:
            _debug.check_result(name, out, raws)
        if not record:
            return _constants(out) if tensors else out
        edges, inputs = [], []
        for position, arg in enumerate(args):
            if needs[position]:
                vertex = vertex_of(arg)
                edges.append((vertex, position))
                inputs.append((raws[position], vertex))
            else:
                inputs.append((raws[position], None))
        node = KernelNode(name, edges, pullback, fast, definition, inputs, settings, xp)
        if isinstance(out, tuple):
            return tuple(Tensor._of(part, Output(node, i, len(out))) for i, part in enumerate(out))
        return Tensor._of(out, node)

    _, *rest = inspect.signature(definition).parameters.values()
    call.__signature__ = inspect.Signature(rest)
    call.definition = definition
    call.arrays, call.options, call.defaults = arrays, options, option_defaults
    OPS[name] = call
    return call


def _bound(made, args, settings):
    """Arrays given by name and options given by position, put where they belong."""
    name, arrays, options = made.__name__, made.arrays, made.options
    count = len(arrays)
    if args and backend.is_namespace(args[0]):
        backend.namespace(args[0])  # which says that callers leave it out
    if len(args) > count + len(options):
        raise TypeError(
            f"{name} takes {count + len(options)} arguments ({', '.join(arrays + options)}), "
            f"got {len(args)}"
        )
    settings = dict(settings)
    for option, value in zip(options, args[count:], strict=False):
        if option in settings:
            raise TypeError(f"{name} got {option} twice: by position and by name")
        settings[option] = value
    defaults = made.definition.__defaults__ or ()
    values = dict(zip(arrays[count - len(defaults) :], defaults, strict=True))
    bound = list(args[:count])
    for array in arrays[len(bound) :]:
        if array in settings:
            bound.append(settings.pop(array))
        elif array in values:
            bound.append(values[array])
        else:
            raise TypeError(f"{name} needs its argument {array!r}")
    return tuple(bound), settings


def kernel(name: str, namespace: str = "portable"):
    """Register a fast path for the op ``name``, for one array library or, portable, for all.

    The kernel is called as ``kernel(xp, needs, *arrays, **options)`` with raw arrays and, for every
    array, whether its gradient will be asked for. It returns ``(out, pullback)``; ``pullback(g)``
    returns one gradient per array, None where none is needed. Neither may write to its arguments.
    For what it does not cover it returns NotImplemented, and the definition serves.
    """

    def register(fast):
        KERNELS.setdefault(name, {})[namespace] = fast
        return fast

    return register


def _constants(out):
    return tuple(map(Tensor._of, out)) if isinstance(out, tuple) else Tensor._of(out)
