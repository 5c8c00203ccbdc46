"""Layers that come to be built in another's first call: does anything there hold them?

Only what builds goes through here, so a call of what is built costs nothing.
"""

import threading

from lamina.errors import warn


class _Current(threading.local):
    value: "FirstCall | None" = None


_current = _Current()


class FirstCall:
    """A block in which ``layer`` is built, or called first; warns where a layer inside is loose.

    A layer with weights that none of the layers around it holds when the outermost of them is done
    would never be trained nor saved.
    """

    __slots__ = ("_around", "_built", "_layer", "_was_built")

    def __init__(self, layer):
        self._layer = layer
        self._was_built = layer.built
        self._built = []  # pairs of a layer and the one in whose call it was built

    def __enter__(self):
        self._around = _current.value
        _current.value = self

    def __exit__(self, kind, *exc_info):
        around = _current.value = self._around
        if kind is not None:
            return
        held = self._layer.layers_within() if self._built else ()
        loose = [pair for pair in self._built if not any(pair[0] is one for one in held)]
        if around is None:
            if loose:
                _warn_of_loose(*loose[-1])
            return
        around._built += loose
        if not self._was_built and around._layer is not self._layer and self._layer.weights:
            around._built.append((self._layer, around._layer))


def _warn_of_loose(layer, around) -> None:
    warn(
        f"{layer} was built in the call of {around}, which does not hold it: its weights are "
        "neither trained nor saved, and new at every call where it is made there; make it in "
        "__init__ and keep it as an attribute"
    )
