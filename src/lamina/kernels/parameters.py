"""The parameters of a model as one vector in host memory, stepped in place, block by block.

Parameters become views of the vector, so small ones cost no call each; a block and its state stay
in the processor's cache from the first operation of a rule to the last, and blocks can be shared
among threads. What a block computes depends on no other block and on no thread.

This is the storage behind ``lamina.optimizers`` on NumPy; the portable one is
``optimizers/_flat.py``. A newcomer may measure another ``BLOCK``.
"""

from functools import partial
from itertools import accumulate

import numpy as np

from lamina.autograd import clock
from lamina.backend import workers as threads

BLOCK = 65536
"""Elements that are stepped together: in cache, and long enough for threads to work side by side."""

_BLOCKS_PER_PART = 1


class Blocks:
    """One vector of all parameters of one dtype, and one vector for each slot of their state.

    Args:
        xp: the namespace, NumPy's.
        parameters: with ``.data`` of one dtype; their data become views of the vector.
        fills: for each slot of state its first value, or None for the parameter's own.
        earlier: for each parameter its state so far, arrays by slot, or None where it is new.
        kernel: a fast form of the rule from ``kernels/optimizers.py``, or None.
    """

    def __init__(self, xp, parameters, fills, earlier, kernel=None):
        arrays = [parameter.data for parameter in parameters]
        ends = list(accumulate(array.size for array in arrays))
        self.parameters = parameters
        self.bounds = list(zip([0, *ends[:-1]], ends, strict=True))
        self.shapes = [array.shape for array in arrays]
        self.vector = np.empty(ends[-1], arrays[0].dtype)
        self.gradient = np.empty_like(self.vector)
        self.state = {slot: np.empty_like(self.vector) for slot in fills}
        self.views = self.split(self.vector)
        self._xp = xp
        self._kernel = kernel
        self._pairs = list(zip(parameters, self.views, strict=True))
        self._scratch = self._new_scratch()
        self._plans = {}
        self.reread()
        for i, known in enumerate(earlier):
            for slot, into in self.slots(i).items():
                fill = fills[slot]
                into[...] = known[slot] if known else self.views[i] if fill is None else fill

    def split(self, vector) -> list:
        """Views of ``vector``, one for each parameter, in its shape."""
        pairs = zip(self.bounds, self.shapes, strict=True)
        return [vector[start:stop].reshape(shape) for (start, stop), shape in pairs]

    def slots(self, i: int) -> dict:
        """The state of parameter ``i``: arrays in its shape, by slot."""
        start, stop = self.bounds[i]
        shape = self.shapes[i]
        return {slot: vector[start:stop].reshape(shape) for slot, vector in self.state.items()}

    def set_slots(self, i: int, values: dict) -> None:
        """Replace the state of parameter ``i``."""
        for slot, into in self.slots(i).items():
            into[...] = values[slot]

    def rebound(self) -> bool:
        """Whether some parameter was given other data since the last step."""
        for parameter, view in self._pairs:
            if parameter.data is not view:
                return True
        return False

    def reread(self) -> None:
        """Take the data of parameters that were rebound, and bind them to the vector again."""
        for parameter, view in self._pairs:
            if parameter.data is not view:
                view[...] = parameter.data
                parameter.data = view

    def step(self, rule, step, rate, decays, shards, factors, workers) -> None:
        """Advance every parameter that has a gradient.

        Args:
            rule: the optimizer.
            step, rate, decays: as in ``Optimizer.advance``.
            shards: lists with a gradient for each parameter, summed in their order.
            factors: what to multiply each sum by, or None.
            workers: None, a number of threads, or an object with ``map_blocks(function, n)``.
        """
        first, *rest = shards
        plan = self._plan(first)
        for i, into in plan.gathered:
            into[...] = first[i]
            for shard in rest:
                into += shard[i]
            if factors is not None:
                into *= factors[i]
        cut = {i: [shard[i].reshape(-1) for shard in shards] for i in plan.cut}
        pieces = plan.pieces
        if workers is None or len(pieces) <= _BLOCKS_PER_PART:
            self._run(pieces, self._scratch, rule, step, rate, decays, cut, factors)
        else:

            def part(number):
                some = pieces[number * _BLOCKS_PER_PART : (number + 1) * _BLOCKS_PER_PART]
                self._run(some, self._new_scratch(), rule, step, rate, decays, cut, factors)

            parts = -(-len(pieces) // _BLOCKS_PER_PART)
            if isinstance(workers, int):
                threads.run(part, parts, workers)
            else:
                workers.map_blocks(part, parts)
        now = next(clock)
        for parameter in plan.parameters:
            parameter.changed_at = now

    def _run(self, pieces, scratch, rule, step, rate, decays, cut, factors):
        total, work = scratch
        update = partial(self._kernel, rule, work) if self._kernel else rule.update
        xp, advance = self._xp, rule.advance
        for p, g, state, i, start, stop in pieces:
            if g is None:
                g = cut[i][0][start:stop]
                for other in cut[i][1:]:
                    g = np.add(g, other[start:stop], out=total[: p.size])
                if factors is not None:
                    g = np.multiply(g, factors[i], out=total[: p.size])
            new, new_state = advance(update, xp, p, g, state, step, rate, decays)
            if new is not p:
                p[...] = new
            if new_state is not state:
                for slot, value in zip(state, new_state, strict=True):
                    if value is not slot:
                        slot[...] = value

    def _new_scratch(self):
        size = min(BLOCK, self.vector.size)
        return np.empty(size, self.vector.dtype), np.empty(size, self.vector.dtype)

    def _plan(self, gradients):
        missing = tuple([i for i, g in enumerate(gradients) if g is None])
        plan = self._plans.get(missing)
        if plan is None:
            plan = self._plans[missing] = _Plan(self, missing)
        return plan


class _Plan:
    """Which pieces of the vector a step goes through, when the gradients of some are missing.

    Attributes:
        parameters: those that have a gradient.
        gathered: (number, view) of parameters whose gradients are first copied together.
        cut: numbers of parameters larger than a block, whose gradients are read where they are.
        pieces: (p, g, state, number, start, stop): slices of the vectors, and for a piece of a
            large parameter no ``g`` but where to cut it from.
    """

    def __init__(self, blocks, missing):
        present = [i for i in range(len(blocks.parameters)) if i not in missing]
        sizes = [stop - start for start, stop in blocks.bounds]
        into = blocks.split(blocks.gradient)
        self.parameters = [blocks.parameters[i] for i in present]
        self.gathered = [(i, into[i]) for i in present if sizes[i] <= BLOCK]
        self.cut = [i for i in present if sizes[i] > BLOCK]
        spans = []
        for i in present:
            start, stop = blocks.bounds[i]
            if sizes[i] > BLOCK:
                for a in range(0, sizes[i], BLOCK):
                    b = min(a + BLOCK, sizes[i])
                    spans.append((start + a, start + b, i, a, b))
            elif spans and spans[-1][1:3] == (start, None) and stop - spans[-1][0] <= BLOCK:
                spans[-1] = (spans[-1][0], stop, None, 0, 0)
            else:
                spans.append((start, stop, None, 0, 0))
        self.pieces = [
            (
                blocks.vector[start:stop],
                blocks.gradient[start:stop] if i is None else None,
                tuple(vector[start:stop] for vector in blocks.state.values()),
                i,
                a,
                b,
            )
            for start, stop, i, a, b in spans
        ]
