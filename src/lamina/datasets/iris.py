"""Fisher's iris flowers: 150 of them, 4 lengths, 3 species, shipped with the package.

R. A. Fisher, "The use of multiple measurements in taxonomic problems" (1936), UCI Machine Learning
Repository, https://doi.org/10.24432/C56C76, CC BY 4.0; with Fisher's own values in the two rows
where UCI's file differs from the paper, as in scikit-learn's ``load_iris``.
"""

from importlib.resources import files

import numpy as np

from lamina.datasets._split import Pair, split

__all__ = ["CLASS_NAMES", "FEATURE_NAMES", "load_data"]

CLASS_NAMES = ("setosa", "versicolor", "virginica")
FEATURE_NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")


def load_data(test_split: float = 0.2, seed: int | None = 0) -> tuple[Pair, Pair]:
    """The flowers, shuffled and split with the same share of every species in both parts.

    Args:
        test_split: the share of test data, from 0 to below 1. 0.2 gives 120 and 30 flowers.
        seed: of the shuffle; a seed gives the same split everywhere. None keeps the published
            order, sorted by species.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: x float32 of shape (n, 4), centimetres, in the
        order of ``FEATURE_NAMES``; y int64 of shape (n,), places in ``CLASS_NAMES``.

    Raises:
        ValueError: ``test_split`` is not in [0, 1).

    Example:
        >>> (x, y), _ = iris.load_data(test_split=0, seed=None)
        >>> x.shape
        (150, 4)
    """
    stored = files("lamina.datasets") / "_embedded" / "iris.csv"
    with stored.open("rb") as file:
        table = np.loadtxt(file, delimiter=",", skiprows=1)
    return split(table[:, :4].astype(np.float32), table[:, 4].astype(np.int64), test_split, seed)
