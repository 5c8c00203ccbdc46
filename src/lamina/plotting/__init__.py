"""Pictures of training, of data and of networks: ``lamina.plotting``.

Every function draws on a figure of its own, or into ``ax`` where one is given, saves the picture
where ``path`` says, and returns the ``matplotlib.figure.Figure`` it drew on. A notebook shows that
figure when it is the cell's last value; elsewhere ``.show()`` opens it in a viewer. Nothing here
uses pyplot or changes matplotlib's settings, and matplotlib loads with the first picture.

To draw in pyplot's own windows, or several pictures side by side, pass its axes:

    >>> figure, (left, right) = plt.subplots(1, 2)
    >>> plotting.decision_boundary(model, x, y, ax=left);
    >>> plotting.confusion_matrix(y, model.predict(x), ax=right);

A newcomer may add a picture: one file, one function, drawn with the help of ``_figure.py``.
"""

from lamina.plotting.activation import activation
from lamina.plotting.confusion_matrix import confusion_counts, confusion_matrix
from lamina.plotting.decision_boundary import decision_boundary
from lamina.plotting.feature_maps import feature_maps
from lamina.plotting.filters import filters
from lamina.plotting.heat import grad_cam, saliency
from lamina.plotting.history import history
from lamina.plotting.images import images
from lamina.plotting.most_wrong import most_wrong

__all__ = [
    "activation",
    "confusion_counts",
    "confusion_matrix",
    "decision_boundary",
    "feature_maps",
    "filters",
    "grad_cam",
    "history",
    "images",
    "most_wrong",
    "saliency",
]


def __dir__() -> list[str]:
    return __all__
