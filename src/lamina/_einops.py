"""How einops, where a program imports it, comes to take tensors.

einops serves the arrays of every library for which its ``AbstractBackend`` has a subclass, and has
no other way to be told of one. Such a class can only be made once einops is there, which lamina
itself never imports: so the import of einops, whenever it comes, ends with the making of the class.
"""

import importlib
import sys

HOME = "einops._backends"
_made = []  # einops itself holds on to no class that it has not used


def register(module) -> None:
    """Give einops, of which ``module`` has the backends, one for tensors."""
    if not hasattr(module, "AbstractBackend"):  # as all of its versions have it
        return
    from lamina.autograd import Tensor
    from lamina.autograd._namespace import function

    class TensorBackend(module.AbstractBackend):
        """What einops asks of a library, in functions of the standard, so with derivatives."""

        framework_name = "lamina"

        def is_appropriate_type(self, tensor):
            return isinstance(tensor, Tensor)

        def from_numpy(self, x):
            return Tensor(x)

        def to_numpy(self, x):
            return x.numpy()

        def arange(self, start, stop):
            from lamina import xp

            return Tensor(xp.arange(start, stop))

        def reshape(self, x, shape):
            return function("reshape")(x, tuple(shape))

        def transpose(self, x, axes):
            return function("permute_dims")(x, tuple(axes))

        def reduce(self, x, operation, axes):
            return function(operation)(x, axis=tuple(axes))

        def stack_on_zeroth_dimension(self, tensors):
            return function("stack")(tensors)

        def concat(self, tensors, axis):
            return function("concat")(tensors, axis=axis)

        def add_axis(self, x, new_position):
            return function("expand_dims")(x, axis=new_position)

        def tile(self, x, repeats):
            return function("tile")(x, tuple(repeats))

        def is_float_type(self, x):
            return x.__array_namespace__().isdtype(x.dtype, "real floating")

        def einsum(self, pattern, *x):
            from lamina.ops import einsum

            return einsum(pattern, *x)

    _made.append(TensorBackend)


class Watch:
    """A finder of modules that finds none itself, and has `register` run where einops is loaded."""

    def find_spec(self, name, path=None, target=None):
        if name != HOME:
            return None
        finders = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in finders)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader, register)
        return spec


class _Then:
    """A loader, with something to do when a module is loaded."""

    def __init__(self, loader, then):
        self._loader, self._then = loader, then

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._then(module)


def watch() -> None:
    """Have einops told of tensors: now, where it is imported already, else when it will be."""
    sys.meta_path.insert(0, Watch())
    if HOME in sys.modules:
        register(importlib.import_module(HOME))
