"""Networks without branches, run without a tape.

Where every layer is one op that has a kernel, each feeding the next, the tape would only say "the
one before": so the kernels are called one after the other, and their pullbacks in reverse. That is
the step one writes by hand, with the very same calls as the tape's, hence the same numbers (but a
convolution and its max pooling are done together); the network of a beginner's first lesson trains
twice as fast for it. Everything else takes the tape.
"""

from operator import attrgetter

from lamina import backend
from lamina.dtype_policies import HALVES
from lamina.losses import LossFunctionWrapper
from lamina.ops import conv, conv_max_pool, max_pool, relu, softmax, softmax_crossentropy
from lamina.ops._op import KERNELS
from lamina.ops.crossentropies import categorical_crossentropy, sparse_categorical_crossentropy


class Chain:
    """The kernels of a model and its loss, in order. Made by ``chain_of``.

    Args:
        xp: the raw namespace.
        links: for every op its kernel, parameters (None for one that is not used) and options.
        loss: the loss's kernel and options.
        joined: whether the loss's kernel takes logits and gives the outputs beside the values.
        trained: the parameters whose gradients are wanted.
    """

    def __init__(self, xp, links, loss, joined, trained):
        place = {id(parameter): i for i, parameter in enumerate(trained)}
        self._xp = xp
        self._count = len(trained)
        self._links = []
        fed = False  # whether anything before this link is trained
        for kernel, parameters, options in links:
            numbers = [place.get(id(parameter)) for parameter in parameters]
            needs = (fed, *[number is not None for number in numbers])
            fed = fed or any(needs)
            # what the pullback gives after the gradient of x, and for which parameter
            places = [(i, number) for i, number in enumerate(numbers, 1) if number is not None]
            holders = [_NOTHING if p is None else p for p in parameters]
            self._links.append((kernel, needs, holders, options, places))
        self._loss, self._loss_options = loss
        self._joined = joined

    def forward(self, x):
        """The end of the network for a batch, and what ``gradients`` needs; None to decline."""
        xp, kept = self._xp, []
        for kernel, needs, holders, options, places in self._links:
            done = kernel(xp, needs, x, *map(_data, holders), **options)
            if done is NotImplemented:
                return None
            x, pullback = done
            kept.append((pullback, places))
        return x, kept

    def values(self, y, end):
        """(values of the loss, outputs, pullback of the loss); None where the kernel declines."""
        done = self._loss(self._xp, (False, True), y, end, **self._loss_options)
        if done is NotImplemented:
            return None
        values, pullback = done
        return (*values, pullback) if self._joined else (values, end, pullback)

    def gradients(self, kept, pullback, seed) -> list:
        """The gradient of every trained parameter, from the seed of the loss's values."""
        gradients = [None] * self._count
        g = pullback((seed, None) if self._joined else seed)[1]
        for pullback, places in reversed(kept):
            if g is None:  # nothing before here is trained
                break
            found = pullback(g)
            for i, number in places:
                gradients[number] = found[i]
            g = found[0]
        return gradients


class _NOTHING:
    """Stands for a parameter that a layer has not, such as the bias of one without."""

    data = None


_data = attrgetter("data")


def chain_of(model, loss, trained) -> Chain | None:
    """The chain that a model and its loss are, or None where the tape is needed."""
    links = links_of(model) if _keeps_dtype(model) else None
    function = loss.fn if type(loss).call is LossFunctionWrapper.call else None
    if not links or not hasattr(function, "definition") or not trained:
        return None
    ends = (function, (), {**function.defaults, **loss.options})
    links = _pooled_first(links)
    joined = _joined(links[-1], ends)
    if joined is not None:
        links, ends = [*links[:-1], *joined[:-1]], joined[-1]
    found = _with_kernels(model, [*links, ends])
    if found is None:
        return None
    *inner, (loss_kernel, _, loss_options) = found
    loss_of_chain = (loss_kernel, loss_options)
    return Chain(model.backend.xp, inner, loss_of_chain, joined is not None, trained)


def forward_of(model):
    """What a model is when it is only used: a function of a raw batch, or None for the tape's.

    It gives None, too, for a batch that some kernel declines.
    """
    links = links_of(model) if _keeps_dtype(model) else None
    found = _with_kernels(model, _pooled_first(links)) if links else None
    if found is None:
        return None
    xp = model.backend.xp
    ready = [(k, parameters, options, (False,) * (1 + len(parameters)))
             for k, parameters, options in found]  # fmt: skip

    def forward(x):
        for kernel, parameters, options, needs in ready:
            arrays = [None if p is None else p.data for p in parameters]
            done = kernel(xp, needs, x, *arrays, **options)
            if done is NotImplemented:
                return None
            x = done[0]
        return x

    return forward


def _keeps_dtype(model) -> bool:
    """Whether no layer's border changes a dtype, and nothing is in half precision."""
    borders = {layer._border for layer in model.layers_within()} - {None}
    return borders <= {model.input_dtype} and not borders & HALVES


def _with_kernels(model, links):
    """Links with the kernel in each op's place, all options said; None where one has no kernel."""
    name = backend.name(model.backend.xp)
    found = []
    for op, parameters, options in links:
        kernels = KERNELS.get(getattr(op, "__name__", None), {})
        kernel = kernels.get(name) or kernels.get("portable")
        if kernel is None or not hasattr(op, "definition"):
            return None
        found.append((kernel, parameters, {**op.defaults, **options}))
    return found


_PLAIN = {"axis": -1, "from_logits": False, "ignore_class": None, "label_smoothing": 0.0}


def _joined(last, ends):
    """A softmax and the crossentropy after it as links that end in the one op for both, or None."""
    op, parameters, options = last
    loss, _, loss_options = ends
    if loss not in (categorical_crossentropy, sparse_categorical_crossentropy):
        return None
    if any(loss_options[name] != _PLAIN[name] for name in loss_options):
        return None
    join = (softmax_crossentropy, (), {})
    if op is softmax and options.get("axis", -1) == -1:
        return [join]
    if options.get("activation") == "softmax":
        return [(op, parameters, {**options, "activation": "linear"}), join]
    return None


def _pooled_first(links) -> list:
    """Links with max poolings done where they cost least.

    Each goes before a relu: that never falls as its argument grows, so the largest relu is the relu
    of the largest, and where it is 0 no gradient passes either way. And it joins the convolution
    before it, whose bias and activation likewise can wait.
    """
    found = []
    for link in links:
        if link[0] is not max_pool or not found:
            found.append(link)
            continue
        found, activation = _without_relu(found)
        if found and _joins(found[-1], link[2]):
            _, parameters, options = found.pop()
            options = {**options, **_renamed(link[2]), "activation": activation}
            found.append((conv_max_pool, parameters, options))
        else:
            found.append(link)
            if activation == "relu":
                found.append((relu, (), {}))
    return found


def _without_relu(links):
    """Links less a relu at their end, and "relu" where there was one, else "linear"."""
    *before, (op, parameters, options) = links
    if op is relu and not options:
        return before, "relu"
    if options.get("activation") == "relu":
        return [*before, (op, parameters, {**options, "activation": "linear"})], "relu"
    return links, "linear"


def _joins(link, pooling) -> bool:
    """Whether a link is a convolution that can be done together with a max pooling."""
    op, _, options = link
    kinds = [{"data_format": "channels_last", **part}["data_format"] for part in (options, pooling)]
    return op is conv and options.get("activation", "linear") == "linear" and kinds[0] == kinds[1]


_OF_POOLING = {"pool_size": "pool_size", "strides": "pool_strides", "padding": "pool_padding"}


def _renamed(pooling) -> dict:
    """The options of a max pooling, under the names they have in the op for both."""
    return {_OF_POOLING[name]: pooling[name] for name in pooling if name in _OF_POOLING}


def links_of(layer):
    """The ops that a layer is, in order, or None where it is more than ops.

    A layer says so by ``links``, next to its ``call``; a subclass with a ``call`` of its own no
    longer is what its parent says.
    """
    if "call" in vars(layer) or layer.activity_regularizer is not None:
        return None
    kind = next(k for k in type(layer).__mro__ if "call" in vars(k))
    return layer.links() if "links" in vars(kind) else None
