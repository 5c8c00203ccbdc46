"""The picture of where a GPU wins over NumPy, which needs matplotlib."""

import math
import pathlib

from gpu_table import gains as gains_of
from works import BATCHES, WIDTHS


def against_numpy(record: dict, path: pathlib.Path) -> str:
    """Draw NumPy's time over the GPU's by width and batch into a file; its name, or why not.

    Blue where NumPy is faster, vermilion where the GPU is, full from eight times on.
    """
    if "against numpy" not in record:
        return ""
    try:
        from lamina.plotting._figure import panels, save
        from lamina.plotting._sheet import two_sides

        gains = gains_of(record)
        figure, (axis,) = panels(1, None, size=(5.2, 3.6))
    except ModuleNotFoundError as error:
        return f"(no picture: {error})"
    shades = [[math.log2(gain or 1) for gain in row.values()] for row in gains.values()]
    axis.imshow(shades, cmap=two_sides(), vmin=-3, vmax=3, aspect="auto")
    for y, row in enumerate(gains.values()):
        for x, gain in enumerate(row.values()):
            told = "-" if gain is None else f"{gain:.2g}x" if gain < 10 else f"{gain:.0f}x"
            ink = "white" if abs(shades[y][x]) > 2 else "#222222"
            axis.text(x, y, told, ha="center", va="center", color=ink)
    axis.set_xticks(range(len(BATCHES)), BATCHES)
    axis.set_yticks(range(len(WIDTHS)), WIDTHS)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set(xlabel="batch", ylabel="width of the hidden layers")
    axis.set_title(f"784-width-width-10: NumPy's time over {record['backend']}'s", fontsize=10)
    save(figure, path)
    return str(path)
