"""When memory runs out: which layer it was, and a batch size that was tried and fits."""

import traceback

from lamina import backend
from lamina.autograd import Parameter


def out_of_memory(error, model, rows: int, attempt) -> MemoryError:
    """The error to raise for a batch of ``rows`` that was too large.

    Args:
        error: the MemoryError that was caught; what its frames hold is let go.
        model: the model that ran.
        attempt: called with a slice of the batch, does the same with these rows only.
    """
    told = str(error) if hasattr(error, "lamina_layer") else _in_derivative(error, model)
    _let_go(error)
    backend.memory.give_back()  # in pieces of another size, it may do
    while rows > 1:
        rows //= 2
        try:
            attempt(slice(0, rows))
        except MemoryError as again:
            _let_go(again)
        else:
            return MemoryError(f"{told}: a batch_size of {rows} fits")
    return MemoryError(f"{told}: not even one sample fits, so make the model smaller")


def _in_derivative(error, model) -> str:
    """Where on the way back it was: the layer whose parameter is nearest to the node."""
    node = vars(error).pop("lamina_node", None)
    reached = [] if node is None else [node]
    for vertex in reached:
        if isinstance(vertex, Parameter):
            for layer in model.layers_within():
                if any(vertex is p for p in layer.own_weights()):
                    return f"memory ran out in the derivative of {layer} ({error})"
        edges = getattr(vertex, "edges", ())
        reached += [edge[0] for edge in edges if not any(edge[0] is v for v in reached)]
    return f"memory ran out in {model} ({error})"


def _let_go(error) -> None:
    """Release the arrays that the frames of a failed pass hold."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
