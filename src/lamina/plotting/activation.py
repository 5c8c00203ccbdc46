"""An activation function and its derivative, drawn as the curves they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina import Tensor, xp
from lamina.plotting._figure import BLUE, GREY, VERMILION, host, panels, quiet_frame, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lamina.plotting._figure import Panels

    Function = str | Callable[..., Any]

POINTS = 1001
MOST_COLUMNS = 4


def activation(
    name_or_function: Function | Sequence[Function],
    *,
    low: float = -5.0,
    high: float = 5.0,
    ax: Panels | None = None,
    path: str | PathLike[str] | None = None,
) -> Figure:
    """Draw ``f(x)`` and its derivative ``f'(x)`` for ``low <= x <= high``.

    The derivative is the one that training uses: the gradient of ``sum(f(x))``.

    Args:
        name_or_function: the name of an activation, a function made of ``lamina.xp`` or
            ``lamina.ops``, or a list of these, drawn as a grid.
        low: left end.
        high: right end.
        ax: axes to draw into, one for each function.
        path: file to save the picture to, a PNG unless its suffix says otherwise.

    Returns:
        the figure drawn on.

    Raises:
        ValueError: if a name is unknown, ``low`` is not below ``high``, or a function does not act
            on each number by itself (softmax).

    Example:
        >>> plotting.activation("gelu")
        >>> plotting.activation(["relu", "elu", "silu", "tanh"], path="activations.png")
    """
    if not low < high:
        raise ValueError(f"activation expects low < high, got low={low} and high={high}")
    functions = _listed(name_or_function)
    if not functions:
        raise ValueError('activation expects a function to draw, got an empty list: try ["relu"]')
    x = np.linspace(low, high, POINTS)
    curves = [(_name(f), *_value_and_slope(f, x)) for f in functions]

    rows = math.ceil(len(curves) / MOST_COLUMNS)
    size = (2.9, 2.4) if len(curves) > 1 else (5.0, 3.6)
    figure, axes = panels(len(curves), ax, size=size, columns=math.ceil(len(curves) / rows))
    for axis, (name, value, slope) in zip(axes, curves, strict=True):
        _draw(axis, name, x, value, slope)
        if ax is None:
            quiet_frame(axis)
    if ax is None and len(curves) > 1:
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False
        )
    else:
        axes[0].legend(framealpha=0.9, edgecolor="none")
    return save(figure, path)


def _listed(given: Function | Sequence[Function]) -> list[Function]:
    return [given] if isinstance(given, str) or callable(given) else list(given)


def _name(function: Function) -> str:
    if isinstance(function, str):
        return function
    return getattr(function, "__name__", type(function).__name__)


def _function(function: Function) -> Callable[..., Any]:
    if callable(function):
        return function
    from lamina import activations

    return activations.get(function)


def _value_and_slope(function: Function, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``f(x)`` and ``f'(x)``, once it is known that ``f`` takes each number by itself."""
    f = _function(function)
    points = Tensor(x, requires_grad=True)
    value = f(points)
    part = x[: len(x) // 3]
    alone = host(f(Tensor(part)))
    if value.shape != x.shape or not np.allclose(
        alone, host(value)[: len(part)], rtol=1e-6, atol=1e-9, equal_nan=True
    ):
        raise ValueError(
            "activation draws functions that take each number by itself, "
            f"and {_name(function)!r} mixes the entries of its input: leave it out"
        )
    xp.sum(value).backward()
    return host(value), host(points.grad)


def _draw(axis: Axes, name: str, x: np.ndarray, value: np.ndarray, slope: np.ndarray) -> None:
    axis.axhline(0, color=GREY, linewidth=0.8, zorder=1)
    axis.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    axis.plot(x, value, color=BLUE, linewidth=2, label="value")
    axis.plot(x, slope, color=VERMILION, linewidth=1.8, linestyle="--", label="derivative")
    axis.set_title(name, fontsize="medium")
    axis.set_xlim(x[0], x[-1])
