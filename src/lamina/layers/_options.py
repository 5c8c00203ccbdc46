"""Checking what layers and models are told, and options that older tutorials call otherwise."""

import operator

MOVED = {
    "init": "kernel_initializer",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "bias": "use_bias",
    "output_dim": "units",
    "p": "rate",
    "nb_epoch": "epochs",
    "nb_worker": "lamina.config.set_workers",
    "nb_val_samples": "validation_steps",
    "samples_per_epoch": "steps_per_epoch",
    "lr": "learning_rate",
    "decay": "a learning-rate schedule",
    "input": "layers.Input",
    "batch_input_shape": "layers.Input(shape, batch_size=...)",
}
"""Options of older Keras, and what they are called today."""


def unknown_option(owner: str, unknown: dict, function) -> TypeError:
    """The error for options that ``function`` does not take, naming today's or the nearest."""
    name = next(iter(unknown))
    if name in MOVED:
        return TypeError(f"{owner} has no option {name!r}: it is called {MOVED[name]} today")
    import inspect

    from lamina.errors import nearest

    known = [p for p in inspect.signature(function).parameters if p != "self"]
    close = nearest(name, [*known, *_EVERY_LAYERS])
    advice = f": did you mean {close!r}?" if close else f": it takes {', '.join(known)}"
    return TypeError(f"{owner} has no option {name!r}{advice}")


_EVERY_LAYERS = ("activity_regularizer", "dtype", "input_dim", "input_shape", "name", "trainable")


def whole_number(owner, name: str, value, least: int = 1) -> int:
    """``value`` as an int.

    Raises:
        ValueError: where it is none, or below ``least``.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise ValueError(f"{owner} needs {name} as a whole number from {least} on, got {value!r}")
    return number


def take_seed(layer, seed) -> None:
    """Let a layer draw by a seed of its own, where one is given.

    Raises:
        ValueError: where it is no whole number from 0 on.
    """
    layer.given_seed = seed if seed is None else whole_number(layer, "seed", seed, 0)
    if seed is not None:
        layer.seed = layer.given_seed


def sample_shape(owner, name: str, shape) -> tuple:
    """The shape of one sample, as a tuple of whole numbers and None.

    Raises:
        TypeError: where it is no tuple or list.
        ValueError: for an axis that is neither None nor a whole number.
    """
    if not isinstance(shape, tuple | list):
        raise TypeError(
            f"{owner} needs {name} as a tuple, such as (8,) for eight features, got {shape!r}"
        )
    return tuple(None if n is None else whole_number(owner, name, n) for n in shape)
