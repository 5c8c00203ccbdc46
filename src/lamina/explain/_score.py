"""The number that an explanation explains: how much a model speaks for a class.

It is the number before a softmax or a sigmoid that ends the model, the logit: behind them, where
the model is sure, every slope is nearly 0, and a class's probability also rises where another's
falls. A model that ends otherwise is taken at its output.
"""

import operator

from lamina import ops, xp
from lamina.autograd import grad, no_grad
from lamina.errors import counted
from lamina.explain._inside import instead, outputs, run, turns
from lamina.layers import Softmax
from lamina.models.chain import links_of

_SQUASHING = {ops.softmax: "softmax", ops.sigmoid: "sigmoid", ops.log_softmax: "log_softmax"}


class Score:
    """How much the model speaks for one class of each image, as a function of the batch.

    Args:
        model: gives scores of classes (batch, k), or one number (batch, 1), where class 1 is
            what raises it and class 0 what lowers it.
        x: the batch, a tensor.
        class_: the class of all images, or one for each; None for the predicted ones.

    Attributes:
        outputs: what the model gives for x, a NumPy array.
        classes: the class of each image.
        kind: "logit", or "output" where the model does not end in a softmax or a sigmoid.
    """

    def __init__(self, model, x, class_=None):
        if "int" in str(model.input_dtype):
            raise ValueError(
                f"{model} takes whole numbers, which have no slopes: explain the layer behind its "
                "embedding, as a model of its own"
            )
        self._model = model
        within = model.layers_within()
        with turns:  # another thread's functions hide what a layer is
            ends = {layer: before for layer in within if (before := _unsquashed(layer))}
        out, given = outputs(model, x, ends)
        last = [layer for layer in given if given[layer] is out]
        self._ends = {layer: ends[layer] for layer in last}
        self.kind = "logit" if last else "output"
        self.outputs = model.backend.to_numpy(out.data)
        if self.outputs.ndim != 2:
            raise ValueError(
                f"a class of {model} is explained by its score, and it gives no scores of shape "
                f"(batch, classes) but {self.outputs.shape}: explain a model that makes one number "
                "per class of them"
            )
        self.classes = self._chosen(class_)

    def __call__(self, x):
        """The sum of the scores over the images; no image's score depends on another image."""
        with instead(self._ends):
            return xp.sum(run(self._model, x) * self._signs())

    def slopes(self, function, at):
        """The gradient of ``function`` at a raw array, itself one: no weight is differentiated."""
        with no_grad(), self._model.backend.scope():
            return grad(function)(at)

    def _chosen(self, class_) -> list[int]:
        rows, count = self.outputs.shape
        if class_ is None:
            if count > 1:
                return [int(i) for i in self.outputs.argmax(axis=1)]
            numbers = self.outputs[:, 0]
            if self.kind == "output" and all(0 <= n <= 1 for n in numbers):
                raise ValueError(
                    f"{self._model} does not end in a sigmoid that can be seen, and gives numbers "
                    "from 0 to 1, which may be probabilities or logits: say the class, class_=1"
                )
            return [int(n > (0.5 if self.kind == "logit" else 0.0)) for n in numbers]
        try:
            one_for_all = hasattr(class_, "__index__") and getattr(class_, "ndim", 0) == 0
            classes = [*map(operator.index, [class_] * rows if one_for_all else class_)]
        except TypeError:
            raise TypeError(
                f"class_ is a whole number, or one for each image, got "
                f"{type(class_).__name__}: of one-hot rows pass their argmax"
            ) from None
        if len(classes) != rows:
            raise ValueError(
                f"class_ is one class for all images or one for each of the {rows}, got "
                f"{counted(len(classes), 'class', 'classes')}"
            )
        most = max(count, 2)
        for one in classes:
            if not 0 <= one < most:
                raise ValueError(
                    f"{self._model} tells classes 0 to {most - 1}, got class {one}: count classes "
                    "from 0"
                )
        return classes

    def _signs(self):
        """What each of the outputs counts in the sum."""
        count = self.outputs.shape[1]
        if count == 1:
            rows = [[1.0 if one else -1.0] for one in self.classes]
        else:
            rows = [[float(i == one) for i in range(count)] for one in self.classes]
        place = self._model.backend
        return place.asarray(rows, str(self.outputs.dtype))


def _unsquashed(layer):
    """What stands for the call of a layer that ends in a softmax or a sigmoid to leave it out."""
    if isinstance(layer, Softmax):
        return lambda own, inputs, **_: inputs
    links = None if layer.sublayers() else links_of(layer)
    if not links:
        return None
    op, parameters, options = links[-1]
    if op in _SQUASHING:
        links = links[:-1]
    elif options.get("activation") in _SQUASHING.values():
        links = [*links[:-1], (op, parameters, {**options, "activation": "linear"})]
    else:
        return None

    def call(own, inputs, **_):
        for op, parameters, options in links:
            inputs = op(inputs, *parameters, **options)
        return inputs

    return call
