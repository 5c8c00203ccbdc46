"""Names of layers, and of options that were called otherwise in older tutorials."""

import threading

_counts: dict[str, int] = {}
_lock = threading.Lock()


def snake_case(name: str) -> str:
    """ "MaxPooling2D" as "max_pooling2d"."""
    out = []
    for i, letter in enumerate(name):
        after_lower = i and (name[i - 1].islower() or name[i - 1].isdigit())
        before_lower = i and i + 1 < len(name) and name[i + 1].islower() and name[i - 1] != "_"
        if letter.isupper() and (after_lower or before_lower):
            out.append("_")
        out.append(letter.lower())
    return "".join(out).strip("_")


def unique_name(class_name: str) -> str:
    """ "dense", then "dense_1", "dense_2", ... for layers that were given no name."""
    base = snake_case(class_name)
    with _lock:
        number = _counts.get(base, 0)
        _counts[base] = number + 1
    return f"{base}_{number}" if number else base


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


def moved_option(owner: str, unknown: dict) -> TypeError:
    """The error for options that ``owner`` does not have, naming today's where there is one."""
    name = next(iter(unknown))
    today = MOVED.get(name)
    advice = f": it is called {today} today" if today else ""
    return TypeError(f"{owner} has no option {name!r}{advice}")
