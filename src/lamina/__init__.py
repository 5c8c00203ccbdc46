"""lamina: deep learning in plain Python on the array API standard."""

__version__ = "0.1.0"
