"""What the layers inside a model make of a batch."""

from lamina.explain._inside import batch, found, on_host, outputs, paths


def layer_outputs(model, x, layers=None) -> dict:
    """What each layer gives when the model is used on ``x``, layers within layers too.

    Args:
        model: a model that knows its input shape.
        x: a batch of inputs, as for ``model.predict``.
        layers: one or a list of layers, names ("conv2d_1"; "residual_block/conv2d" for a layer
            within a layer where the name alone is not its own), or places in ``model.layers``;
            None is every layer that runs, in the order they end.

    Returns:
        a dict from the path of a layer to its output, a NumPy array whose first axis is the batch;
        of a layer that is called several times, its last.

    Raises:
        ValueError: for a layer that the model has not, or that did not run.

    Example:
        >>> explain.layer_outputs(model, x[:1], "conv2d")["conv2d"].shape
        (1, 26, 26, 16)
    """
    x = batch(model, x)
    if layers is None:
        known = paths(model)
        _, given = outputs(model, x, known.values())
        names = {layer: path for path, layer in known.items()}
        return {names[layer]: on_host(model, out) for layer, out in given.items()}
    if not isinstance(layers, list | tuple):
        layers = [layers]
    wanted = dict(found(model, one) for one in layers)
    _, given = outputs(model, x, wanted.values())
    for path, layer in wanted.items():
        if layer not in given:
            raise ValueError(f"{layer} did not run when {model} was used: leave {path!r} out")
    return {path: on_host(model, given[layer]) for path, layer in wanted.items()}
