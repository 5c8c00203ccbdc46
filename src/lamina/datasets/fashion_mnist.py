"""Fashion-MNIST: 70,000 pictures of clothes in the form of MNIST.

H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
Learning Algorithms" (2017), https://arxiv.org/abs/1708.07747; (c) Zalando SE, MIT licence.
30.9 MB, downloaded once.
"""

from lamina.datasets import _idx
from lamina.datasets._split import Pair

__all__ = ["CLASS_NAMES", "load_data"]

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_HOSTS = [
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
]
_SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
    ),
    "train-labels-idx1-ubyte.gz": (
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
    ),
}


def load_data() -> tuple[Pair, Pair]:
    """The whole set, downloaded at the first call.

    Returns:
        ``(x_train, y_train), (x_test, y_test)``: x uint8 of shape (60000, 28, 28) and
        (10000, 28, 28), 0 to 255; y int64 of shape (60000,) and (10000,), places in
        ``CLASS_NAMES``.

    Raises:
        DownloadError: a file is neither on this machine nor to be downloaded.
        ValueError: a file in ``LAMINA_DATA`` has a wrong checksum.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()
    """
    train = _idx.load("fashion-mnist-", _HOSTS, _SHA256, "train")
    return train, _idx.load("fashion-mnist-", _HOSTS, _SHA256, "t10k")
