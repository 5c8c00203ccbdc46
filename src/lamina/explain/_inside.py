"""Layers inside a model: how they are named, and how one listens to what they give.

A layer is named by its path, "residual_block_2/conv2d_5" for a layer within a layer; where the end
of the path belongs to one layer alone, the end will do.
"""

import contextlib
import threading

from lamina.autograd import Tensor, no_grad
from lamina.errors import counted, unknown
from lamina.layers import Input, Layer, _passes
from lamina.models.feeding import Feed


def paths(model) -> dict[str, Layer]:
    """All layers inside ``model`` by path, each once, a layer before those inside it."""
    found = {}

    def walk(holder, before):
        for layer in holder.sublayers():
            if isinstance(layer, Input) or any(layer is other for other in found.values()):
                continue
            path, number = before + layer.name, 1
            while path in found:
                path, number = f"{before}{layer.name}_{number}", number + 1
            found[path] = layer
            walk(layer, path + "/")

    walk(model, "")
    return found


def found(model, wanted) -> tuple[str, Layer]:
    """The path and the layer that ``wanted`` is: a layer, its path or its end, or its place."""
    known = paths(model)
    if hasattr(wanted, "__index__") and not isinstance(wanted, bool):
        wanted = model.get_layer(index=wanted)
    if isinstance(wanted, Layer):
        matches = [path for path, layer in known.items() if layer is wanted]
        if not matches:
            raise ValueError(f"{wanted} is no layer inside {model}: pass one that is, or its name")
    elif isinstance(wanted, str):
        matches = [p for p in known if p == wanted] or [
            p for p in known if p.endswith(f"/{wanted}")
        ]
    else:
        raise TypeError(
            f"a layer is chosen by its name, its place or itself, got {type(wanted).__name__}"
        )
    if not matches:
        raise unknown(f"layer of {model}", wanted, {p.rpartition("/")[2] for p in known} | {*known})
    if len(matches) > 1:
        raise ValueError(
            f"{model} has {counted(len(matches), 'layer')} named {wanted!r}: say which by its "
            f"path, {' or '.join(matches)}"
        )
    return matches[0], known[matches[0]]


turns = threading.RLock()
"""Held while layers have other functions for calls: of two threads one waits for the other."""


@contextlib.contextmanager
def instead(calls):
    """A block in which, on this thread, other functions stand for the ``call`` of layers.

    Args:
        calls: a dict from layer to a function of the layer's own call and its arguments.
    """
    thread = threading.get_ident()

    def standing_in(own, other):
        def call(*args, **kwargs):
            if threading.get_ident() != thread:
                return own(*args, **kwargs)
            return other(own, *args, **kwargs)

        return call

    with turns:
        before = [(layer, vars(layer).get("call")) for layer in calls]
        try:
            for layer, other in calls.items():
                layer.call = standing_in(layer.call, other)
            yield
        finally:
            for layer, own in before:
                if own is None:
                    vars(layer).pop("call", None)
                else:
                    layer.call = own


def outputs(model, inputs, layers=()):
    """The model's output for a batch, and what each of ``layers`` gave, in the order they ended.

    Of a layer that is called several times it is what it gave last.
    """
    given = {}

    def listening(layer):
        def call(own, *args, **kwargs):
            out = own(*args, **kwargs)
            given.pop(layer, None)
            given[layer] = out
            return out

        return call

    with no_grad(), instead({layer: listening(layer) for layer in layers}):
        return run(model, inputs), given


def run(model, inputs):
    """The model, used: no moving average or loss of a layer is kept."""
    with _passes.Pass(), model.backend.scope():
        return model(inputs, training=False)


def batch(model, x):
    """``x`` as a batch that fits the model, a tensor on its backend."""
    if not isinstance(model, Layer) or not hasattr(model, "predict"):
        raise TypeError(f"a model is needed to look into, got {type(model).__name__}")
    model._require_built("be looked into")
    return Tensor(Feed(model, None, only_x=True).batch(x)[0])


def on_host(model, value):
    """A layer's output as NumPy arrays; of several outputs a list."""
    if isinstance(value, list | tuple):
        return [on_host(model, one) for one in value]
    return model.backend.to_numpy(value.data if isinstance(value, Tensor) else value)
