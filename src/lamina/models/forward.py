"""A network used, not trained: large batches are shared among threads, sample by sample alike."""

from lamina import backend
from lamina.autograd import _debug as debug
from lamina.autograd import no_grad
from lamina.layers._holder import Structure
from lamina.layers._passes import Pass
from lamina.models import step


def outputs_of(model, x):
    """The raw outputs for a raw batch, without recording.

    A batch is cut as in training, by what it takes to compute and not by the number of threads. It
    stays whole where a layer is not the library's own, which may mix the samples of a batch.
    """
    shards = _shards(model, x.shape[0])
    if len(shards) > 1:
        parts = [None] * len(shards)

        def run(i):
            with no_grad(), Pass():
                parts[i] = model(x[shards[i]]).data

        with backend.blas.one_thread():
            backend.workers.run(run, len(shards))
        return backend.namespace(x).concat(parts, axis=0)
    with Pass():
        return model(x).data


def _shards(model, rows) -> list:
    if model.backend.name != "numpy" or debug.enabled or not model.built:
        return [slice(0, rows)]
    known = getattr(model, "_forward_work", (None, 0))
    if known[0] != Structure.version:
        layers = model.layers_within()
        ours = all(type(layer).__module__.startswith("lamina.") for layer in layers)
        work = sum(layer.multiplications() for layer in layers) if ours else 0
        known = model._forward_work = Structure.version, work
    return step.cut(rows, 1, known[1])
