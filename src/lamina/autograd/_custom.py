"""custom_vjp: a function with a backward pass of your own."""

import functools
import inspect

from lamina import backend
from lamina.autograd import _nest
from lamina.autograd._forward import pushes, transposed
from lamina.autograd._functional import fitting, in_kind, is_tracked
from lamina.autograd._primitive import whole
from lamina.autograd._tape import (
    OWN,
    Node,
    Output,
    Part,
    as_tensor,
    mode,
    no_grad,
    revive,
    vertex_of,
)
from lamina.autograd._tensor import Tensor


class custom_vjp:
    """A function whose gradient is the one that you give.

        out, residuals = forward(*args)        backward(residuals, g) -> a gradient for each of args

    Decorate the function, then give it the two by ``defvjp``. ``args``, ``out`` and ``residuals``
    may be nests; all three functions get and return raw arrays, and ``backward`` returns a tuple
    with a nest like each argument, or None where its gradient is 0. ``g`` is a nest like ``out``.

    Derivatives of higher order follow if ``forward`` and ``backward`` are written in ``lamina.xp``
    and operators, through the residuals too: arguments and results among these are known as what
    they are, others are computed again from the arguments, on the tape. Forward mode transposes
    ``backward``.

    Raises:
        TypeError: where ``defvjp`` was not called; where ``forward`` returns no pair, ``backward``
            no tuple that fits; where the functions close over tensors that require gradients, which
            would be lost: make them arguments.

    Example:
        >>> @lamina.custom_vjp
        ... def clipped(x):
        ...     return x
        >>> clipped.defvjp(lambda x: (x, ()), lambda _, g: (xp.clip(g, -1.0, 1.0),))
    """

    def __init__(self, f):
        self.f = f
        self.forward = self.backward = None
        try:
            self.signature = inspect.signature(f)
        except ValueError:  # as of some functions in C, which get their arguments by position
            self.signature = None
        functools.update_wrapper(self, f)

    def defvjp(self, forward, backward):
        """Set the forward pass and the backward pass; returns the function."""
        self.forward, self.backward = forward, backward
        return self

    def __repr__(self) -> str:
        return f"<custom_vjp {self.__name__}>"

    def __call__(self, *args, **kwargs):
        if self.backward is None:
            raise TypeError(
                f"custom_vjp {self.__name__!r} has no backward pass yet: call "
                f"{self.__name__}.defvjp(forward, backward)"
            )
        args = self._by_position(args, kwargs)
        leaves, structure = _nest.flatten(args)
        raws = [x.data if isinstance(x, Tensor) else x for x in leaves]
        if not (mode.enabled and any(map(is_tracked, leaves))):
            out = self.f(*structure.fill(raws))
            return self._constants(out) if any(isinstance(x, Tensor) for x in leaves) else out
        out, residuals = self.run(structure.fill(raws))
        outs, shape = _nest.flatten(out)
        outs = [self._raw(x, "result") for x in outs or [out]]
        node = _Custom(self, args, outs, shape, residuals)
        if shape.is_leaf:
            return Tensor._of(outs[0], node)
        count = len(outs)
        return shape.fill([Tensor._of(x, Output(node, i, count)) for i, x in enumerate(outs)])

    def _by_position(self, args, kwargs) -> tuple:
        """All arguments in the order of the function's parameters."""
        named = kwargs
        if self.signature is not None:
            bound = self.signature.bind(*args, **kwargs)
            named = bound.kwargs
            bound.apply_defaults()
            args = bound.args
        if named:
            raise TypeError(
                f"custom_vjp {self.__name__!r} cannot have keyword-only arguments: "
                f"{', '.join(named)} would be no argument of forward and backward"
            )
        return args

    def run(self, args):
        """``forward(*args)``, once it is known to be a pair."""
        pair = self.forward(*args)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(
                f"forward of custom_vjp {self.__name__!r} must return a pair (out, residuals), "
                f"got {type(pair).__name__}"
            )
        return pair

    def _constants(self, out):
        outs, shape = _nest.flatten(out)
        return shape.fill([Tensor._of(self._raw(x, "result")) for x in outs])

    def _raw(self, value, what):
        if is_tracked(value):
            raise TypeError(
                f"custom_vjp {self.__name__!r} computes its {what} with a tensor that requires a "
                "gradient and is no argument: that gradient would be lost; make it an argument"
            )
        value = value.data if isinstance(value, Tensor) else value
        if what == "result" and not backend.is_array(value):
            raise TypeError(
                f"custom_vjp {self.__name__!r} must return arrays, got {type(value).__name__}"
            )
        return value


class _Custom(Node):
    """A call of a custom_vjp. Edges: (vertex, number of the leaf among those of the arguments)."""

    __slots__ = ("custom", "inputs", "likes_of_outs", "outs", "residuals", "shape", "structures")

    def __init__(self, custom, args, outs, shape, residuals):
        flat = [_nest.flatten(arg) for arg in args]
        leaves = [leaf for some, _ in flat for leaf in some]
        tracked = [i for i, leaf in enumerate(leaves) if is_tracked(leaf)]
        super().__init__(custom.__name__, [(vertex_of(leaves[i]), i) for i in tracked])
        self.custom = custom
        self.structures = [(structure, len(some)) for some, structure in flat]
        self.inputs = [(leaf.data if isinstance(leaf, Tensor) else leaf, None) for leaf in leaves]
        for vertex, i in self.edges:
            self.inputs[i] = (self.inputs[i][0], vertex)
        self.shape = shape
        self.likes_of_outs = [(out.shape, out.dtype) for out in outs]
        found, structure = _nest.flatten(residuals)
        found = [custom._raw(x, "residuals") for x in found]
        places = {id(out): Part(i, len(outs)) for i, out in enumerate(outs)}
        if shape.is_leaf:
            places[id(outs[0])] = OWN
        places |= {id(x): i for i, (x, _) in enumerate(self.inputs)}
        # a leaf is an argument (its number), a result, or computed otherwise (None)
        self.residuals = (
            [(x, places.get(id(x)) if backend.is_array(x) else None) for x in found],
            structure,
        )

    def pull(self, g):
        with no_grad():
            found = self._gradients(self._residuals(None), g)
        for (vertex, _), gradient in zip(self.edges, found, strict=True):
            yield vertex, in_kind(gradient, False)

    def pull_tensors(self, g):
        found = self._gradients(self._residuals(self._arguments()), g)
        for (vertex, _), gradient in zip(self.edges, found, strict=True):
            yield vertex, as_tensor(gradient)

    def pull_constants(self, g) -> list:
        """Gradients by a tensor g where everything else is constant."""
        leaves, structure = self._residuals(None, raw=True)
        return self._gradients(structure.fill([as_tensor(x) for x in leaves]), g)

    def _arguments(self) -> list:
        if self.inputs is None:
            self.refill()
        return [as_tensor(revive(*pair, self)) for pair in self.inputs]

    def _residuals(self, arguments, raw=False):
        """The residuals: as they were kept, or on the tape that ``arguments`` stand on."""
        if self.inputs is None:
            self.refill()
        kept, structure = self.residuals
        leaves = [x for x, _ in kept]
        if raw:
            return leaves, structure
        if arguments is None:
            return structure.fill(leaves)
        if not structure.is_plain or any(
            place is None and not isinstance(x, int) for x, place in kept
        ):
            again = self.custom.run(self._nests(arguments))[1]
            leaves, structure = _nest.flatten(again)
            if len(leaves) != len(kept):
                raise RuntimeError(
                    f"forward of custom_vjp {self.name!r} gave other residuals when it was run "
                    "again for a derivative of higher order: it must depend on its arguments alone"
                )
        for i, (value, place) in enumerate(kept):
            if isinstance(place, int):
                leaves[i] = arguments[place]
            elif place is not None:
                leaves[i] = revive(value, place, self)
        return structure.fill(leaves)

    def _nests(self, leaves) -> list:
        parts = iter(leaves)
        return [structure.fill([next(parts) for _ in range(n)]) for structure, n in self.structures]

    def _gradients(self, residuals, g) -> list:
        """What ``backward`` gives at the edges, once it is known to fit."""
        gs = whole([g] if self.shape.is_leaf else g, self.likes_of_outs)
        given = self.custom.backward(residuals, self.shape.fill(gs))
        name, count = f"backward of custom_vjp {self.name!r}", len(self.structures)
        if not isinstance(given, tuple | list) or len(given) != count:
            what = f"{len(given)}" if isinstance(given, tuple | list) else type(given).__name__
            raise TypeError(
                f"{name} must return a tuple with a gradient for each of its {count} arguments, "
                f"got {what}"
            )
        found, paths = [], []
        for i, (part, (structure, n)) in enumerate(zip(given, self.structures, strict=True)):
            path = f"{name}: gradient {i}"
            found += [None] * n if part is None else structure.match(part, path)
            paths += structure.paths(path)
        return [
            None if found[i] is None else fitting(found[i], self.inputs[i][0], paths[i], "argument")
            for _, i in self.edges
        ]

    def likes(self):
        if self.inputs is None:
            self.refill()
        raws = [(vertex, self.inputs[i][0]) for vertex, i in self.edges]
        return [(vertex, raw.shape, raw.dtype) for vertex, raw in raws]

    def empty(self):
        vertices = [vertex for _, vertex in self.inputs]
        self.inputs = self.residuals = None
        return vertices

    def take(self, other, vertices):
        values = [value for value, _ in other.inputs]
        self.inputs = list(zip(values, vertices, strict=True))
        self.residuals = other.residuals

    def release(self):
        self.inputs = self.residuals = None


def _push_custom(node, tangents, likes, create_graph):
    """Tangents through ``backward``, transposed."""
    moved = [place for place, edge in enumerate(node.edges) if tangents.get(edge[0]) is not None]
    if not moved:
        return None

    def rules(g):
        found = [x for _, x in node.pull_tensors(g)] if create_graph else node.pull_constants(g)
        return [found[place] for place in moved]

    directions = [tangents[node.edges[place][0]] for place in moved]
    return transposed(rules, node, directions, likes, create_graph)


pushes(_Custom, _push_custom)
