"""Where an optimizer's parameters and their state are kept: one storage for each kind of parameter.

Parameters of one dtype that decay, or do not, are stepped together. A storage is a vector with
views in host memory (``kernels/parameters.py``) or the portable one (``_flat.py``).
"""

from lamina import backend
from lamina.kernels.optimizers import RULES
from lamina.kernels.parameters import Blocks
from lamina.optimizers._flat import Flat

STORAGES = {"numpy": Blocks}
"""By the name of the array library; ``Flat`` serves all others."""


class Layout:
    """The parameters of an optimizer, with their state.

    Args:
        rule: the optimizer.
        parameters: what it steps.
        before: the layout that this one replaces, or None. Parameters in both keep their state, and
            those that left, as frozen ones do, find it again when they come back.
    """

    def __init__(self, rule, parameters, before=None):
        if len({id(p) for p in parameters}) < len(parameters):
            names = [p.name for p in parameters]
            raise ValueError(f"an optimizer takes every parameter once, got one twice in {names}")
        places = {str(backend.of(p.data)) for p in parameters}
        if len(places) > 1:
            raise ValueError(
                "the parameters of an optimizer are all on one backend, got some on each of "
                f"{', '.join(sorted(places))}: move the model with model.to(...)"
            )
        earlier = [] if before is None else before.known()
        known = {id(p): slots for p, slots in earlier}
        here = set(map(id, parameters))
        self._absent = [(p, slots) for p, slots in earlier if id(p) not in here]
        self.parameters = parameters
        self._rule = rule
        self._count = len(parameters)
        self._fills = dict.fromkeys(rule.slots, rule.initial_state)
        if rule.use_ema:
            self._fills["average"] = None
        kinds = {}
        for i, p in enumerate(parameters):
            kinds.setdefault((rule.decays(p), str(p.data.dtype)), []).append(i)
        self._groups = [
            (self._storage([parameters[i] for i in numbers], known), numbers, decays)
            for (decays, _), numbers in kinds.items()
        ]
        self._storages = [storage for storage, _, _ in self._groups]

    def _storage(self, parameters, known):
        home = backend.of(parameters[0].data)
        earlier = []
        for p in parameters:
            slots = known.get(id(p))
            earlier.append(
                slots and {slot: home.asarray(a, p.data.dtype) for slot, a in slots.items()}
            )
        kernel = RULES.get((type(self._rule).update.__module__, home.name))
        return STORAGES.get(home.name, Flat)(home.xp, parameters, self._fills, earlier, kernel)

    def known(self) -> list[tuple]:
        """Every parameter that it holds, or that held a place before it, with its state."""
        return [*zip(self.parameters, self.slots(), strict=True), *self._absent]

    def holds(self, parameters) -> bool:
        """Whether these are its parameters, in this order."""
        pairs = zip(self.parameters, parameters, strict=False)
        return len(parameters) == self._count and all(a is b for a, b in pairs)

    def check(self, shards) -> bool:
        """Whether each list has a gradient for each parameter.

        Raises:
            ValueError: for a list of another length.
        """
        complete = True
        for gradients in shards:
            if len(gradients) != self._count:
                raise ValueError(
                    f"the optimizer has {self._count} parameters and needs a gradient, or None, "
                    f"for each, got {len(gradients)}"
                )
            for g in gradients:
                if g is None:
                    complete = False
        return complete

    def rebound(self) -> bool:
        """Whether some parameter was given other data since the last step."""
        for storage in self._storages:  # any() costs more than the loop
            if storage.rebound():
                return True
        return False

    def reread(self) -> bool:
        """Take the data of parameters that were rebound; False where they moved or changed dtype.

        Raises:
            ValueError: where a shape differs.
        """
        same = True
        for storage in self._storages:
            for p, shape, view in zip(
                storage.parameters, storage.shapes, storage.views, strict=True
            ):
                if p.data is view:
                    continue
                if tuple(p.data.shape) != tuple(shape):
                    raise ValueError(
                        f"a parameter keeps the shape the optimizer was built with: {p.name} had "
                        f"{tuple(shape)}, got {tuple(p.data.shape)}: make a new optimizer"
                    )
                if backend.of(p.data) is not backend.of(view) or p.data.dtype != view.dtype:
                    same = False
        if same:
            for storage in self._storages:
                storage.reread()
        return same

    def step(self, step: int, rate: float, shards, factors, workers) -> None:
        """Advance all parameters; see ``Blocks.step``."""
        rule = self._rule
        if len(self._groups) == 1:
            storage, _, decays = self._groups[0]
            storage.step(rule, step, rate, decays, shards, factors, workers)
            return
        for storage, numbers, decays in self._groups:
            own = [[gradients[i] for i in numbers] for gradients in shards]
            own_factors = factors and [factors[i] for i in numbers]
            storage.step(rule, step, rate, decays, own, own_factors, workers)

    def values(self) -> list[tuple]:
        """All parameters and their state, as ``keep_where`` takes them; of portable storages."""
        return [storage.values() for storage in self._storages]

    def keep_where(self, condition, before) -> None:
        """Go back to the values ``before`` where ``condition``, on the device, is false."""
        for storage, values in zip(self._storages, before, strict=True):
            storage.keep_where(condition, values)

    def slots(self) -> list[dict]:
        """For each parameter its state: arrays in its shape, by slot."""
        found: list[dict] = [{}] * self._count
        for storage, numbers, _ in self._groups:
            for place, i in enumerate(numbers):
                found[i] = storage.slots(place)
        return found

    def set_slots(self, arrays: dict) -> dict:
        """Replace all state by arrays named as in ``Optimizer.state``; return those of "held".

        Raises:
            ValueError: where a name is missing or unknown, or a shape differs, before any change.
        """
        expected = {f"{i}/{slot}" for i in range(self._count) for slot in self._fills}
        optional = {f"{i}/held" for i in range(self._count)}
        wrong = (expected - arrays.keys()) | (arrays.keys() - expected - optional)
        if wrong:
            raise ValueError(
                f"the state of this {type(self._rule).__name__} with {self._count} parameters has "
                f"the arrays {sorted(expected)}, what was given differs in {sorted(wrong)}"
            )
        taken = {}
        for name, array in arrays.items():
            p = self.parameters[int(name.partition("/")[0])]
            array = backend.of(p.data).asarray(array, p.data.dtype)
            if tuple(array.shape) != tuple(p.data.shape):
                raise ValueError(
                    f"the state {name} of parameter {p.name} has its shape "
                    f"{tuple(p.data.shape)}, got {tuple(array.shape)}"
                )
            taken[name] = array
        for storage, numbers, _ in self._groups:
            for place, i in enumerate(numbers):
                storage.set_slots(place, {slot: taken[f"{i}/{slot}"] for slot in self._fills})
        return {
            i: backend.namespace(array).asarray(array, copy=True)
            for i in range(self._count)
            if (array := taken.get(f"{i}/held")) is not None
        }
