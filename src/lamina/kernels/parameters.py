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
from lamina.backend.memory import empty_on_a_line

BLOCK = 65536
"""Elements that are stepped together: enough that threads seldom wait for the interpreter."""


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
        self.vector = empty_on_a_line((ends[-1],), arrays[0].dtype)
        self.gradient = np.empty_like(self.vector)
        self.state = {slot: np.empty_like(self.vector) for slot in fills}
        self.views = self.split(self.vector)
        self._xp = xp
        self._kernel = kernel
        self._pairs = list(zip(parameters, self.views, strict=True))
        self._scratch = self._new_scratch()
        self._plans = {}
        self._full_plan = _Plan(self, ())
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
        for parameter, view in self._pairs:  # any() costs more than the loop
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
        first = shards[0]
        plan = self._plan(first)
        for i, into in plan.gathered:
            into[...] = first[i]
        if len(shards) > 1 or factors is not None:
            for i, into in plan.gathered:
                for shard in shards[1:]:
                    into += shard[i]
                if factors is not None:
                    into *= factors[i]
        cut = plan.cut and {i: [shard[i].reshape(-1) for shard in shards] for i in plan.cut}
        common = (rule, step, rate, decays, cut, factors)
        if workers is None or len(plan.parts) < 3:
            for pieces in plan.parts:
                self._run(pieces, self._scratch, *common)
        else:

            def part(number):
                self._run(plan.parts[number], self._new_scratch(), *common)

            if isinstance(workers, int):
                threads.run(part, len(plan.parts), workers)
            else:
                workers.map_blocks(part, len(plan.parts))
        now = next(clock)
        for parameter in plan.parameters:
            parameter.changed_at = now

    def _run(self, pieces, scratch, rule, step, rate, decays, cut, factors):
        total, work = scratch
        kernel, xp = self._kernel, self._xp
        alone = kernel is not None and not decays and rule.clipvalue is None and not rule.use_ema
        if not alone:
            update = partial(kernel, rule, work) if kernel else rule.update
        for p, g, state, i, start, stop in pieces:
            if g is None:
                g = cut[i][0][start:stop]
                for other in cut[i][1:]:
                    g = np.add(g, other[start:stop], out=total[: p.size])
                if factors is not None:
                    g = np.multiply(g, factors[i], out=total[: p.size])
            if alone:  # kernels step in place, so there is nothing to write back
                kernel(rule, work, xp, p, g, state, step, rate)
                continue
            new, new_state = rule.advance(update, xp, p, g, state, step, rate, decays)
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
        for g in gradients:
            if g is None:
                break
        else:
            return self._full_plan
        missing = tuple([i for i, g in enumerate(gradients) if g is None])
        plan = self._plans.get(missing)
        if plan is None:
            plan = self._plans[missing] = _Plan(self, missing)
        return plan


class _Plan:
    """How a step goes through the vector, where the gradients of some parameters are missing.

    A piece is ``(p, g, state, i, start, stop)``: slices of the vectors. A piece of a large
    parameter ``i`` has no ``g``: it is read from the gradient itself, from ``start`` to ``stop``.

    Attributes:
        parameters: those that have a gradient.
        gathered: (i, view) of the small ones, whose gradients are first copied side by side.
        cut: numbers of the others.
        parts: lists of pieces, each of about ``BLOCK`` elements.
    """

    def __init__(self, blocks, missing):
        present = [i for i in range(len(blocks.parameters)) if i not in missing]
        sizes = [stop - start for start, stop in blocks.bounds]
        small = BLOCK // 8
        into = blocks.split(blocks.gradient)
        self.parameters = [blocks.parameters[i] for i in present]
        self.gathered = [(i, into[i]) for i in present if sizes[i] <= small]
        self.cut = [i for i in present if sizes[i] > small]
        spans = []
        for i in present:
            begin, end = blocks.bounds[i]
            if sizes[i] > small:
                length = -(-sizes[i] // -(-sizes[i] // BLOCK))
                for start in range(0, sizes[i], length):
                    stop = min(start + length, sizes[i])
                    spans.append((begin + start, begin + stop, i, start, stop))
            elif spans and spans[-1][1:3] == (begin, None) and end - spans[-1][0] <= BLOCK:
                spans[-1] = (spans[-1][0], end, None, 0, 0)
            else:
                spans.append((begin, end, None, 0, 0))
        self.parts = [[]]
        filled = 0
        for begin, end, i, start, stop in spans:
            if filled and filled + end - begin > BLOCK:
                self.parts.append([])
                filled = 0
            filled += end - begin
            g = blocks.gradient[begin:end] if i is None else None
            state = tuple(vector[begin:end] for vector in blocks.state.values())
            self.parts[-1].append((blocks.vector[begin:end], g, state, i, start, stop))
