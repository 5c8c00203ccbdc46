"""The room of losses: how wrong outputs are, as classes, as functions and by name.

Names, arguments and defaults are those of Keras 3. A class is a loss with its reduction, as a
training loop wants it; a function gives one value per sample. Formulas are in ``ops/losses.py``.
"""

from lamina.errors import missing
from lamina.losses._loss import Loss, LossFunctionWrapper, arrays
from lamina.losses._shapes import check_labels, fit_weights, prepare, wants_integers
from lamina.losses.classification import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from lamina.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SumOfSquares,
)
from lamina.registry import Registry

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "SumOfSquares",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "check_labels",
    "cosine_similarity",
    "deserialize",
    "fit_weights",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "prepare",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "sum_of_squares",
    "wants_integers",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str):
    raise missing("loss", name, __all__)


def _face(kind):
    """The function of a loss class: (y_true, y_pred, *its options) to one value per sample."""
    fitting = kind()
    op = fitting.fn

    def function(y_true, y_pred, *args, **options):
        y_true, y_pred = arrays(y_true, y_pred, fitting)
        return op(y_true, y_pred, *args, **options)

    function.__name__ = function.__qualname__ = op.__name__
    function.__doc__ = op.__doc__
    function.loss = kind
    return function


binary_crossentropy = _face(BinaryCrossentropy)
binary_focal_crossentropy = _face(BinaryFocalCrossentropy)
categorical_crossentropy = _face(CategoricalCrossentropy)
categorical_focal_crossentropy = _face(CategoricalFocalCrossentropy)
categorical_hinge = _face(CategoricalHinge)
cosine_similarity = _face(CosineSimilarity)
hinge = _face(Hinge)
huber = _face(Huber)
kl_divergence = _face(KLDivergence)
log_cosh = _face(LogCosh)
mean_absolute_error = _face(MeanAbsoluteError)
mean_absolute_percentage_error = _face(MeanAbsolutePercentageError)
mean_squared_error = _face(MeanSquaredError)
mean_squared_logarithmic_error = _face(MeanSquaredLogarithmicError)
poisson = _face(Poisson)
sparse_categorical_crossentropy = _face(SparseCategoricalCrossentropy)
squared_hinge = _face(SquaredHinge)
sum_of_squares = _face(SumOfSquares)

_FUNCTIONS = (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    cosine_similarity,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
    sum_of_squares,
)
_CLASSES = {function.__name__: function.loss for function in _FUNCTIONS}
_LOSSES = Registry(
    "loss",
    Loss,
    _CLASSES,
    {
        "bce": BinaryCrossentropy,
        "kld": KLDivergence,
        "kullback_leibler_divergence": KLDivergence,
        "mae": MeanAbsoluteError,
        "mape": MeanAbsolutePercentageError,
        "mse": MeanSquaredError,
        "msle": MeanSquaredLogarithmicError,
    },
)


def _named(name):
    """The class of a name; who asks for "crossentropy" is told which there are."""
    folded = name.lower().replace("_", "")
    if "crossentropy" in folded and not ("binary" in folded or "categorical" in folded):
        raise ValueError(
            f"unknown loss {name!r}: use sparse_categorical_crossentropy for class numbers, "
            "categorical_crossentropy for one-hot rows, or binary_crossentropy for one output or "
            "several that are each true or not"
        )
    return _LOSSES.named(name)


def get(identifier) -> Loss | None:
    """The loss that a name, a class, a function, a configuration or a loss stands for.

    Args:
        identifier: "mean_squared_error", "MeanSquaredError", "mse" or another name, for the
            defaults; a ``Loss`` class or object; a function (y_true, y_pred) of one value per
            sample; a dictionary from ``serialize``; or None, which stays None.

    Raises:
        ValueError: for an unknown name, with the nearest right one.
        TypeError: for anything else.

    Example:
        >>> lamina.losses.get("mse")
        <MeanSquaredError "mean_squared_error", reduction='sum_over_batch_size'>
    """
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str):
        return _named(identifier)()
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return identifier()
    if isinstance(getattr(identifier, "loss", None), type):  # one of the functions above
        return identifier.loss()
    if callable(identifier) and not isinstance(identifier, type):
        return LossFunctionWrapper(identifier)
    raise TypeError(
        "a loss is given by its name, such as 'mse', as an object, such as "
        f"lamina.losses.Huber(), or as a function (y_true, y_pred), got {identifier!r}"
    )


def serialize(loss: Loss) -> dict:
    """What makes a loss again: ``{"class_name": ..., "config": ...}``.

    Raises:
        TypeError: for the loss of a user's function, which no configuration holds.
    """
    if type(loss) is LossFunctionWrapper:
        raise TypeError(
            f"the {loss} is a function, which cannot be written down: pass it again after loading"
        )
    return {"class_name": type(loss).__name__, "config": loss.get_config()}


def deserialize(config: dict, custom_objects: dict | None = None) -> Loss:
    """The loss that ``serialize`` described; ``custom_objects`` maps names to further classes."""
    return _LOSSES.deserialize(config, custom_objects)
