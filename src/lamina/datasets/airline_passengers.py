"""Airline passengers: monthly totals from 1949 to 1960, with a trend and a season to forecast.

G. E. P. Box, G. M. Jenkins, "Time Series Analysis: Forecasting and Control" (1976), series G.
2 kB, downloaded once.
"""

import numpy as np

from lamina.datasets import fetch

__all__ = ["load_data"]

_NAME = "airline-passengers.csv"
_ADDRESSES = [
    "https://raw.githubusercontent.com/jbrownlee/Datasets/master/airline-passengers.csv",
]
_CHECKSUM = "sha256:8cb51be753a718d9be5d76d7e238cc224792754676adc21faa59e954b0201621"


def load_data() -> tuple[np.ndarray, np.ndarray]:
    """The whole series, in order.

    Returns:
        ``months, passengers``: months datetime64[M] of shape (144,), 1949-01 to 1960-12;
        passengers float32 of shape (144,), in thousands.

    Raises:
        DownloadError: the file is neither on this machine nor to be downloaded.
        ValueError: the file in ``LAMINA_DATA`` has a wrong checksum.

    Example:
        >>> months, passengers = airline_passengers.load_data()
    """
    path = fetch.get(_NAME, _ADDRESSES, _CHECKSUM)
    table = np.loadtxt(path, delimiter=",", skiprows=1, dtype=str, quotechar='"')
    return table[:, 0].astype("datetime64[M]"), table[:, 1].astype(np.float32)
