"""A network used, not trained: on NumPy without a tape, large batches shared among threads."""

from lamina import backend
from lamina.autograd import _debug as debug
from lamina.autograd import no_grad
from lamina.layers._holder import Structure
from lamina.layers._passes import Pass
from lamina.models import step
from lamina.models.chain import forward_of

# Every shard costs the calls of the whole network, between which threads wait for each other: in
# shards of one sample ResNet-20 took three times as long as in these.
SHARD = 1 << 26  # least products of a parameter and a number in a shard, where there are over two
_ROWS = 8  # least samples
_SHARDS = 8  # most shards


def outputs_of(model, x):
    """The raw outputs for a raw batch, without recording.

    A batch is cut by what it takes to compute and not by the number of threads, into as many shards
    as are worth it: small ones stay in the processor's cache. It stays whole where a layer is not
    the library's own, which may mix the samples of a batch.
    """
    if model.backend.name != "numpy" or debug.enabled or not model.built:
        return _by_the_layers(model, x)
    plan, rows = _plan_of(model), x.shape[0]
    shards = plan.shards(rows)
    if shards < 2:
        if not plan.one_thread_each(rows):
            return plan.outputs(x)
        with backend.blas.one_thread():
            return plan.outputs(x)
    edges = [rows * i // shards for i in range(shards + 1)]
    parts = [None] * shards

    def run(i):
        with no_grad():
            parts[i] = plan.outputs(x[edges[i] : edges[i + 1]])

    with backend.blas.one_thread():
        backend.workers.run(run, shards)
    return backend.namespace(x).concat(parts, axis=0)


def one_thread_each(model, rows: int) -> bool:
    """Whether the products of a batch of so many samples start no threads of their own."""
    planned = model.backend.name == "numpy" and not debug.enabled
    return planned and _plan_of(model).one_thread_each(rows)


def _plan_of(model) -> "_Plan":
    plan = vars(model).get("_plan")
    if plan is None or plan.version != Structure.version:
        plan = model._plan = _Plan(model)
    return plan


class _Plan:
    """How a model is used, until its structure changes.

    Attributes:
        work: products that a sample takes; 0 where batches must not be cut.
    """

    def __init__(self, model):
        layers = model.layers_within()
        ours = all(type(layer).__module__.startswith("lamina.") for layer in layers)
        self.version = Structure.version
        self.work = sum(layer.multiplications() for layer in layers) if ours else 0
        self._model = model
        # with axes of any length every layer must see for itself if its input fits
        self._forward = forward_of(model) if ours and None not in model._input_shape[1:] else None

    def shards(self, rows: int) -> int:
        products = rows * self.work
        if products < SHARD:
            return 1
        return max(1, min(rows // _ROWS, max(2, products // SHARD), _SHARDS))

    def one_thread_each(self, rows: int) -> bool:
        return self.shards(rows) > 1 or step.TRIFLE < rows * self.work < step.ALONE

    def outputs(self, x):
        model = self._model
        if self._forward is not None:
            if x.shape[1:] != model._accepted:
                model.check_input(x.shape)
                model._accepted = x.shape[1:]
            out = self._forward(x)
            if out is not None:
                return out
        return _by_the_layers(model, x)


def _by_the_layers(model, x):
    with Pass():
        return model(x).data
