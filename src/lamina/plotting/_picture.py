"""The figure that lamina's pictures are drawn on; the only file that imports matplotlib at once.

It is matplotlib's own ``Figure``, kept out of pyplot's global list, which knows how to show itself.
"""

import io

from matplotlib.figure import Figure

SCREEN_DPI = 100


class Picture(Figure):
    """A matplotlib figure that a notebook displays and that ``show()`` opens.

    Where ``%matplotlib`` is active, IPython draws it as any other figure; ``_repr_png_`` serves
    the notebooks in which nothing was set up.
    """

    def png(self, dpi: int = SCREEN_DPI) -> bytes:
        """The picture as the bytes of a PNG file."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=dpi)
        return buffer.getvalue()

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = self.get_size_inches()
        shown_at = {"width": round(width * SCREEN_DPI), "height": round(height * SCREEN_DPI)}
        return self.png(dpi=2 * SCREEN_DPI), shown_at

    def show(self, warn: bool = True) -> None:
        """Open the picture in the system's viewer, without pyplot and without waiting.

        Args:
            warn: say so when the system has no viewer.
        """
        from PIL import Image, ImageShow

        opened = ImageShow.show(Image.open(io.BytesIO(self.png())))
        if warn and not opened:
            import warnings

            warnings.warn(
                "no program to view pictures was found: save this one with path='picture.png'",
                stacklevel=2,
            )
