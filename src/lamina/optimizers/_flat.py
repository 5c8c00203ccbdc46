"""The parameters of a model as one vector, on any array library.

A step is the rule applied once to the whole vector, out of place; then every parameter is bound to
its part of the new one. Nothing relies on views sharing memory, and nothing waits for the device.
The number of calls does not grow with the number of parameters, but for the binding.
"""

from functools import partial
from itertools import accumulate
from math import prod

from lamina import backend
from lamina.autograd import clock
from lamina.kernels.fused_updates import FUSED


class Flat:
    """One vector of all parameters of one dtype, and one vector for each slot of their state.

    Args:
        xp: the namespace of the parameters.
        parameters: with ``.data`` of one dtype on one device.
        fills: for each slot of state its first value, or None for the parameter's own.
        earlier: for each parameter its state so far, arrays by slot, or None where it is new.
        kernel: a fast form of the rule from ``kernels/optimizers.py``, or None.
    """

    def __init__(self, xp, parameters, fills, earlier, kernel=None):
        arrays = [parameter.data for parameter in parameters]
        ends = list(accumulate(prod(array.shape) for array in arrays))
        self.parameters = parameters
        self.bounds = list(zip([0, *ends[:-1]], ends, strict=True))
        self.shapes = [array.shape for array in arrays]
        self._xp = xp
        self._kernel = kernel
        self._fused = FUSED.get(backend.name(xp))
        self.reread()
        self.state = {
            slot: self._joined(
                [
                    known[slot] if known else p if fill is None else xp.full_like(p, fill)
                    for p, known in zip(arrays, earlier, strict=True)
                ]
            )
            for slot, fill in fills.items()
        }

    def _joined(self, arrays):
        return self._xp.concat([self._xp.reshape(array, (-1,)) for array in arrays])

    def slots(self, i: int) -> dict:
        """The state of parameter ``i``: arrays in its shape, by slot."""
        start, stop = self.bounds[i]
        xp, shape = self._xp, self.shapes[i]
        return {slot: xp.reshape(v[start:stop], shape) for slot, v in self.state.items()}

    def set_slots(self, i: int, values: dict) -> None:
        """Replace the state of parameter ``i``."""
        start, stop = self.bounds[i]
        for slot, vector in self.state.items():
            parts = [vector[:start], values[slot], vector[stop:]]
            self.state[slot] = self._joined(parts)

    def rebound(self) -> bool:
        """Whether some parameter was given other data since the last step."""
        pairs = zip(self.parameters, self.views, strict=True)
        return any(parameter.data is not view for parameter, view in pairs)

    def reread(self) -> None:
        """Take the data of parameters that were rebound."""
        self.views = [parameter.data for parameter in self.parameters]
        self.vector = self._joined(self.views)

    def step(self, rule, step, rate, decays, shards, factors, workers) -> None:
        """Advance every parameter that has a gradient; arguments as ``Blocks.step`` has them.

        ``workers`` are not used: the library has threads, or a device, of its own.
        """
        step, rate = self._number(step), self._number(rate)
        if self._fused is not None:
            advance = partial(self._fused, rule, self._xp)
        else:
            update = partial(self._kernel, rule, None) if self._kernel else rule.update
            advance = partial(rule.advance, update, self._xp)
        first = shards[0]
        if any(g is None for g in first):
            self._step_each(advance, step, rate, decays, shards, factors)
            return
        g = self._summed([self._scaled_whole(self._joined(shard), factors) for shard in shards])
        if g.dtype != self.vector.dtype:
            g = self._xp.astype(g, self.vector.dtype)
        state = tuple(self.state.values())
        self.vector, state = advance(self.vector, g, state, step, rate, decays)
        self.state = dict(zip(self.state, state, strict=True))
        self._bind(range(len(self.parameters)))

    def values(self) -> tuple:
        """The vector and its state, which steps replace and never write to."""
        return self.vector, self.state

    def keep_where(self, condition, before) -> None:
        """Go back to ``values()`` from before where ``condition``, on the device, is false."""
        vector, state = before
        where = self._xp.where
        self.vector = where(condition, self.vector, vector)
        self.state = {slot: where(condition, new, state[slot]) for slot, new in self.state.items()}
        self._bind(range(len(self.parameters)))

    def _number(self, value):
        """A number as it is, one on the device in the parameters' dtype."""
        if isinstance(value, int | float):
            return value
        return self._xp.astype(value, self.vector.dtype)

    def _step_each(self, advance, step, rate, decays, shards, factors):
        """A step in which some parameters and their state stay as they are."""
        parts, present = [], []
        for i, (start, stop) in enumerate(self.bounds):
            p = self.vector[start:stop]
            state = tuple(vector[start:stop] for vector in self.state.values())
            if shards[0][i] is not None:
                g = self._summed([self._scaled(shard, factors)[i] for shard in shards])
                g = self._xp.reshape(g, (-1,))
                p, state = advance(p, g, state, step, rate, decays)
                present.append(i)
            parts.append((p, *state))
        self.vector, *state = map(self._joined, zip(*parts, strict=True))
        self.state = dict(zip(self.state, state, strict=True))
        self._bind(present)

    def _summed(self, arrays):
        total, *rest = arrays
        for array in rest:
            total = total + array
        return total

    def _scaled(self, shard, factors):
        if factors is None:
            return shard
        pairs = zip(shard, factors, strict=True)
        return [g if factor is None else g * factor for g, factor in pairs]

    def _scaled_whole(self, vector, factors):
        """The vector of all gradients times their factors, in one product."""
        if factors is None:
            return vector
        first, xp = factors[0], self._xp
        if any(factor is not first for factor in factors):
            sizes = [stop - start for start, stop in self.bounds]
            pairs = zip(factors, sizes, strict=True)
            first = xp.concat([xp.broadcast_to(factor, (size,)) for factor, size in pairs])
        return vector * first

    def _bind(self, changed):
        """Bind every parameter to its part of the vector, and note which have changed."""
        for i, parameter in enumerate(self.parameters):
            start, stop = self.bounds[i]
            parameter.data = self._xp.reshape(self.vector[start:stop], self.shapes[i])
            self.views[i] = parameter.data
        now = next(clock)
        for i in changed:
            self.parameters[i].changed_at = now
