"""Learning curves: how loss and metrics changed from epoch to epoch."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina.errors import unknown
from lamina.plotting._figure import GREY, PALETTE, VERMILION, host, panels, quiet_frame, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lamina.plotting._figure import Panels

RATE = "learning_rate"


def history(
    history: Any,
    metrics: Sequence[str] | None = None,
    *,
    ax: Panels | None = None,
    path: str | PathLike[str] | None = None,
) -> Figure:
    """Draw the learning curves of a training run.

    The loss, the metrics and the learning rate each have a panel, where the history holds them;
    validation is dashed, and the epoch with the lowest ``val_loss`` is marked. Epochs count from 1.
    A validation curve with fewer points than epochs (``validation_freq``) is set at even steps.

    Args:
        history: what ``fit`` returns, or its ``.history``: a dict from name to one value an epoch.
        metrics: names to draw beside the loss, without ``val_``; None is all, [] the loss alone.
        ax: axes to draw into, one for each panel in the order above.
        path: file to save the picture to, a PNG unless its suffix says otherwise.

    Returns:
        the figure drawn on.

    Raises:
        ValueError: if a metric is not in the history, or the history holds no epoch.

    Example:
        >>> run = model.fit(x, y, epochs=20, validation_split=0.2)
        >>> plotting.history(run, path="learning_curve.png")
    """
    curves, epochs = _curves(history)
    shown = _panels(curves, metrics)
    size = (5.2, 3.6) if len(shown) < 3 else (4.3, 3.4)
    figure, axes = panels(len(shown), ax, columns=len(shown), size=size)
    best = _best_epoch(curves, epochs)
    for axis, (title, names) in zip(axes, shown.items(), strict=True):
        _draw(axis, names, curves, epochs)
        if best is not None and title != "learning rate":
            axis.axvline(best, color=GREY, linewidth=1, linestyle=":", zorder=1)
        if best is not None and "loss" in names:
            _mark_best(axis, best, curves["val_loss"], epochs)
        axis.set_ylabel(title)
        _name_epochs(axis, epochs)
        if title != "learning rate":
            axis.legend(framealpha=0.9, edgecolor="none")
        if ax is None:
            quiet_frame(axis)
    return save(figure, path)


def _curves(history: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Values of each name, and the epochs, counted from 1."""
    record = getattr(history, "history", history)
    if not hasattr(record, "items"):
        raise TypeError(
            f"history expects what fit returns, or its dict .history, got {type(record).__name__}"
        )
    curves = {k: np.asarray([float(host(v)) for v in values]) for k, values in record.items()}
    curves = {name: values for name, values in curves.items() if values.size}
    if not curves:
        raise ValueError("history holds no epoch: train with fit(..., epochs=1) or more first")
    longest = max(len(values) for values in curves.values())
    numbers = getattr(history, "epoch", None)
    if not numbers or len(numbers) < longest:
        numbers = range(longest)
    return curves, np.asarray(numbers) + 1


def _panels(curves: dict[str, np.ndarray], metrics: Sequence[str] | None) -> dict[str, list[str]]:
    """Title of each panel and the names in it, without ``val_``."""
    names = list(dict.fromkeys(name.removeprefix("val_") for name in curves))
    if metrics is not None:
        for name in metrics:
            if name not in names:
                raise unknown("metric", name, names)
        names = [name for name in names if name == "loss" or name in metrics]
    losses = [name for name in names if name == "loss" or name.endswith("_loss")]
    others = [name for name in names if name not in losses and name != RATE]
    title = others[0].replace("_", " ") if len(others) == 1 else "metrics"
    shown = {"loss": losses, title: others, "learning rate": [n for n in names if n == RATE]}
    return {title: names for title, names in shown.items() if names}


def _epochs_of(values: np.ndarray, epochs: np.ndarray) -> np.ndarray:
    """The epochs at which ``values`` were taken: every one, or every k-th."""
    step = max(1, len(epochs) // len(values))
    return epochs[step - 1 :: step][: len(values)]


def _draw(axis: Axes, names: list[str], curves: dict[str, np.ndarray], epochs: np.ndarray) -> None:
    alone = len(names) == 1
    for name, colour in zip(names, _cycle(len(names)), strict=True):
        text = name.replace("_", " ")
        for key, line, tint, what in (
            (name, "-", colour, "training"),
            (f"val_{name}", "--", VERMILION if alone else colour, "validation"),
        ):
            if key not in curves:
                continue
            label = what if alone else f"{text}, {what}"
            at = _epochs_of(curves[key], epochs)
            few = "o" if len(at) <= 12 else None
            axis.plot(
                at,
                curves[key],
                line,
                color=tint,
                linewidth=1.8,
                marker=few,
                markersize=4,
                drawstyle="steps-mid" if name == RATE else "default",
                label=label,
            )


def _cycle(count: int) -> list[str]:
    return [PALETTE[i % len(PALETTE)] for i in range(count)]


def _best_epoch(curves: dict[str, np.ndarray], epochs: np.ndarray) -> int | None:
    loss = curves.get("val_loss")
    if loss is None or np.isnan(loss).all():
        return None
    return int(_epochs_of(loss, epochs)[np.nanargmin(loss)])


def _mark_best(axis: Axes, best: int, loss: np.ndarray, epochs: np.ndarray) -> None:
    lowest = np.nanmin(loss)
    axis.plot(
        [best],
        [lowest],
        linestyle="none",
        marker="o",
        markersize=9,
        markerfacecolor="none",
        markeredgecolor=GREY,
        markeredgewidth=1.6,
        label=f"best: {lowest:.4g} in epoch {best}",
    )


def _name_epochs(axis: Axes, epochs: np.ndarray) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_xlabel("epoch")
    margin = 0.03 * (epochs[-1] - epochs[0]) or 0.9
    # There is no epoch 0 to put a tick on.
    axis.set_xlim(epochs[0] - min(margin, 0.9), epochs[-1] + margin)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
