"""Tiny Shakespeare: 1.1 million characters of the plays, to learn to write from.

Public domain text, collected by A. Karpathy for https://github.com/karpathy/char-rnn (2015).
1.1 MB, downloaded once.
"""

from lamina.datasets import fetch

__all__ = ["load_data", "load_text"]

_NAME = "tinyshakespeare.txt"
_ADDRESSES = [
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
]
_CHECKSUM = "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def load_data() -> tuple[str, str]:
    """The text in two: the first 90 % to train, the last 10 % to validate.

    Returns:
        ``train, validation``: 1,003,854 and 111,540 characters.

    Raises:
        DownloadError: the file is neither on this machine nor to be downloaded.
        ValueError: the file in ``LAMINA_DATA`` has a wrong checksum.

    Example:
        >>> train, validation = tiny_shakespeare.load_data()
        >>> train[:14]
        'First Citizen:'
    """
    text = load_text()
    cut = len(text) * 9 // 10
    return text[:cut], text[cut:]


def load_text() -> str:
    """The whole text: 1,115,394 characters, 65 different ones; raises as ``load_data``."""
    return fetch.get(_NAME, _ADDRESSES, _CHECKSUM).read_bytes().decode("ascii")
