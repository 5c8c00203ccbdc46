"""How far a model has come in its random numbers, to be saved and set again.

No generator moves on: each stream is named by a seed and a count, so these are all its state.
"""

_KEYS = {"steps", "epochs", "seeds", "draws"}


class RandomState:
    """The part of a ``Model`` that tells and sets what its random numbers go by; see there."""

    def random_state(self) -> dict:
        """What names every random number to come: shuffles, masks, noise, augmentation.

        With the weights and ``optimizer.state()``, set by ``set_weights``, ``optimizer.set_state``
        and ``set_random_state``, a run goes on, in another process or on another backend, as if it
        had never stopped.

        Returns:
            whole numbers, as JSON can hold: ``steps`` of training done since ``compile``,
            ``epochs`` shuffled, and by the place of each layer its ``seeds`` and its ``draws``
            outside of training.
        """
        layers = {path: layer for layer, path in self._paths()}
        return {
            "steps": 0 if self._step is None else self._step.number,
            "epochs": self._epochs_seen,
            "seeds": {path: int(layer.seed) for path, layer in layers.items()},
            "draws": {path: layer._draws for path, layer in layers.items()},
        }

    def set_random_state(self, state: dict) -> None:
        """Set what ``random_state`` gave, of a model of the same layers.

        Raises:
            RuntimeError: before ``compile``, from which steps are counted.
            ValueError: where it is of other layers or no such state; then nothing is changed.
        """
        self._require_compiled("set_random_state")
        layers = {path: layer for layer, path in self._paths()}
        if not isinstance(state, dict) or state.keys() != _KEYS:
            raise ValueError(
                f"a random state has {', '.join(sorted(_KEYS))}, got {state!r}: pass what "
                "random_state() of an equal model gave"
            )
        numbers = [state["steps"], state["epochs"]]
        for key in ("seeds", "draws"):
            if not isinstance(state[key], dict) or state[key].keys() != layers.keys():
                raise ValueError(
                    f"the random state is of another model than {self}, whose layers are "
                    f"{', '.join(layers)}; it has {key} {state[key]!r}: nothing was set"
                )
            numbers += state[key].values()
        if any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError(f"a random state has whole numbers from 0 on, got {state!r}")
        self._step.number, self._epochs_seen = state["steps"], state["epochs"]
        for path, layer in layers.items():
            layer.seed, layer._draws = state["seeds"][path], state["draws"][path]
