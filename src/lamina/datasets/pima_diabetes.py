"""Pima Indians diabetes: 768 women, 8 measurements each, and whether diabetes followed.

National Institute of Diabetes and Digestive and Kidney Diseases; J. W. Smith et al., "Using the
ADAP learning algorithm to forecast the onset of diabetes mellitus" (1988); public domain (CC0).
23 kB, downloaded once.
"""

import numpy as np

from lamina.datasets import fetch

__all__ = ["CLASS_NAMES", "FEATURE_NAMES", "load_data"]

CLASS_NAMES = ("no diabetes", "diabetes")
FEATURE_NAMES = (
    "pregnancies",
    "glucose",
    "blood_pressure",
    "skin_thickness",
    "insulin",
    "bmi",
    "pedigree",
    "age",
)

_NAME = "pima-indians-diabetes.csv"
_ADDRESSES = [
    "https://raw.githubusercontent.com/jbrownlee/Datasets/master/pima-indians-diabetes.data.csv",
]
_CHECKSUM = "sha256:6bfe5d0f379d17a0e0819b996407e3c09bf80febd4287f2ed212190dfff154af"


def load_data() -> tuple[np.ndarray, np.ndarray]:
    """The whole table, not split; 500 rows are of class 0 and 268 of class 1.

    Glucose is in mg/dl, blood pressure in mm Hg, skin thickness in mm, insulin in mU/l, bmi in
    kg/m^2, age in years. A zero in glucose, blood_pressure, skin_thickness, insulin or bmi means
    that it was not measured.

    Returns:
        ``x, y``: x float32 of shape (768, 8), in the order of ``FEATURE_NAMES``; y int64 of
        shape (768,), places in ``CLASS_NAMES``.

    Raises:
        DownloadError: the file is neither on this machine nor to be downloaded.
        ValueError: the file in ``LAMINA_DATA`` has a wrong checksum.

    Example:
        >>> x, y = pima_diabetes.load_data()
    """
    table = np.loadtxt(fetch.get(_NAME, _ADDRESSES, _CHECKSUM), delimiter=",")
    return table[:, :8].astype(np.float32), table[:, 8].astype(np.int64)
