"""The table that ``model.summary()`` prints."""

import sys

from lamina.layers import _inputs
from lamina.layers._building import _ANY
from lamina.models.progress import encodable

ASCII = str.maketrans("┏┳┓┡╇┩└┴┘━─┃│", "+++++++++=-||")


def show(lines) -> None:
    """Print the lines of a table, its frame in ASCII where the terminal has no other."""
    for line in lines:
        print(encodable(line, sys.stdout, ASCII))


def summary(model, line_length, expand_nested, show_trainable, layer_range) -> list[str]:
    """The lines of a table of the model's layers, their output shapes and parameters."""
    rows = []
    for layer in _range(model.layers, layer_range):
        rows.append(_row(layer, 0, layer._input_shape))
        if expand_nested:
            rows += _inside(layer, 1, [layer], _shapes_inside(layer))
    titles = ["Layer (type)", "Output Shape", "Param #"]
    if show_trainable:
        titles.append("Trainable")
        for row, layer in rows:
            row.append("Y" if layer.trainable else "N")
    cells = [row for row, _ in rows]
    widths = [max(len(line[i]) for line in [titles, *cells]) for i in range(len(titles))]
    if line_length:
        widths[0] += max(0, line_length - sum(widths) - 3 * (len(widths) - 1) - 4)
    return [
        f'Model: "{model.name}"',
        _rule(widths, "┏┳┓", "━"),
        _line(titles, widths, "┃"),
        _rule(widths, "┡╇┩", "━"),
        *[_line(line, widths, "│") for line in cells],
        _rule(widths, "└┴┘", "─"),
        *_totals(model),
    ]


def _inside(layer, depth, seen, shapes) -> list:
    """Rows of the layers inside of ``layer``, each once, those inside of them below each."""
    rows = []
    for inner in layer.sublayers():
        if not any(inner is other for other in seen):
            seen.append(inner)
            rows += [
                _row(inner, depth, shapes[inner]),
                *_inside(inner, depth + 1, seen, shapes),
            ]
    return rows


def _shapes_inside(layer) -> dict:
    """The input shapes of the layers inside, with None for axes that go by one of any length.

    They were built for a trial's length, so two trials tell which these are.
    """
    inside = layer.layers_within()[1:]
    shape = layer._input_shape
    if shape is None or not any(None in one[1:] for one in _inputs.each(shape)):
        return {one: one._input_shape for one in inside}
    tried = []
    for length in (_ANY, 2 * _ANY):
        layer._shape_of_sample(shape, length)
        tried.append([one._accepted for one in inside])
    return {
        one: one._input_shape if None in (a, b) else _common(one._input_shape, a, b)
        for one, a, b in zip(inside, *tried, strict=True)
    }


def _common(built, a, b):
    """What two inputs that a layer accepted have in common; of one they lack the batch."""
    if _inputs.is_several(built):
        return _inputs.of_samples(_inputs.common(a, b))
    return (None, *_inputs.common(a, b))


def _row(layer, depth, shape):
    shape = shape and layer.compute_output_shape(shape)
    name = f"{'  ' * depth}{layer.name} ({type(layer).__name__})"
    count = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
    return [name, "?" if shape is None else _shape(shape), count], layer


def _shape(shape) -> str:
    """A shape as a table says it; of several results a list of them."""
    if isinstance(shape, list):
        return f"[{', '.join(map(_shape, shape))}]"
    return f"({', '.join('None' if n is None else str(n) for n in shape)})"


def _range(layers, layer_range):
    if layer_range is None:
        return layers
    names = [layer.name for layer in layers]
    first, last = layer_range
    for name in (first, last):
        if name not in names:
            from lamina.errors import unknown

            raise unknown("layer in layer_range", name, names)
    return layers[names.index(first) : names.index(last) + 1]


def _rule(widths, corners, dash) -> str:
    left, middle, right = corners
    return left + middle.join(dash * (w + 2) for w in widths) + right


def _line(cells, widths, bar) -> str:
    padded = [
        cell.rjust(w) if i == 2 else cell.ljust(w)
        for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"{bar} " + f" {bar} ".join(padded) + f" {bar}"


def _totals(model) -> list[str]:
    trained = model.trainable_weights
    rest = model.non_trainable_weights
    return [
        f" Total params: {_count([*trained, *rest])}",
        f" Trainable params: {_count(trained)}",
        f" Non-trainable params: {_count(rest)}",
    ]


def _count(parameters) -> str:
    count = sum(p.size for p in parameters)
    size = sum(p.data.nbytes if hasattr(p.data, "nbytes") else p.size * 4 for p in parameters)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{count:,} ({size:.2f} {unit})"
