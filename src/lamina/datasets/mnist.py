"""MNIST: 70,000 handwritten digits of 28 by 28 pixels, 60,000 to train and 10,000 to test.

Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", CC BY-SA 3.0.
11.6 MB, downloaded once. Where only the two small test files (1.7 MB) are at hand,
``load_sample()`` makes a training and a test set of them.
"""

from lamina.datasets import _idx
from lamina.datasets._split import Pair
from lamina.datasets.fetch import DownloadError

__all__ = ["CLASS_NAMES", "load_data", "load_sample", "load_test_data"]

CLASS_NAMES = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")

_HOSTS = [
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
]
_SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}


def load_data() -> tuple[Pair, Pair]:
    """The whole set, downloaded at the first call.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: x uint8 of shape (60000, 28, 28) and
        (10000, 28, 28), 0 (paper) to 255 (ink); y int64 of shape (60000,) and (10000,), 0 to 9.

    Raises:
        DownloadError: a file is neither on this machine nor to be downloaded.
        ValueError: a file in ``LAMINA_DATA`` has a wrong checksum.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = mnist.load_data()
        >>> x_train = x_train.astype("float32") / 255
    """
    try:
        return _idx.load("mnist-", _HOSTS, _SHA256, "train"), load_test_data()
    except DownloadError as error:
        error.add_note("mnist.load_sample() needs only the two small mnist-t10k files.")
        raise


def load_test_data() -> Pair:
    """Only the 10,000 test digits, for which two small files (1.7 MB) are enough.

    Returns:
        ``x, y``: x uint8 of shape (10000, 28, 28); y int64 of shape (10000,).

    Raises:
        DownloadError, ValueError: as ``load_data``.
    """
    return _idx.load("mnist-", _HOSTS, _SHA256, "t10k")


def load_sample() -> tuple[Pair, Pair]:
    """The 10,000 test digits as a small set of their own: the first 8,000 train, the others test.

    Figures on this sample do not compare with those published for MNIST.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``, 8,000 and 2,000 digits.

    Raises:
        DownloadError, ValueError: as ``load_data``.
    """
    x, y = load_test_data()
    return (x[:8000], y[:8000]), (x[8000:], y[8000:])
