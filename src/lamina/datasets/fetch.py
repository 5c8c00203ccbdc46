"""Find a data file on this machine, or download it once and keep it, checked by its checksum.

Looked at in this order: the folders named by ``LAMINA_DATA`` (several are joined by the
system's path separator, ``:`` or ``;``), the cache (``LAMINA_CACHE``, or the platform's own cache
folder), the addresses on the web. A file in ``LAMINA_DATA`` is the user's: it is read and checked,
never written or deleted. The checksum is compared at every load, so a damaged file is never used.

``_download.py`` holds the transfer itself.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lamina.datasets._download import DownloadError, digest, download

__all__ = ["DownloadError", "cache_folder", "data_folders", "get"]


def cache_folder() -> Path:
    """The folder that keeps downloaded files.

    ``LAMINA_CACHE`` if set; else ``lamina`` in the platform's cache folder: ``XDG_CACHE_HOME`` or
    ``~/.cache`` on Linux, ``~/Library/Caches`` on macOS, ``LOCALAPPDATA`` on Windows.
    """
    if named := os.environ.get("LAMINA_CACHE"):
        return Path(named).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lamina"


def data_folders() -> list[Path]:
    """The folders named by ``LAMINA_DATA``, in order; none when it is not set."""
    named = os.environ.get("LAMINA_DATA", "").split(os.pathsep)
    return [Path(folder).expanduser() for folder in named if folder]


def get(
    name: str,
    addresses: Sequence[str],
    checksum: str,
    *,
    timeout: float = 30.0,
    retries: int = 3,
) -> Path:
    """The path of the file ``name``, downloaded if it is not on this machine yet.

    Args:
        name: the file's name in ``LAMINA_DATA`` and in the cache.
        addresses: where it may be downloaded, tried in order.
        checksum: ``"sha256:<hex digits>"``, or another algorithm of ``hashlib`` such as md5.
        timeout: seconds to wait for the next byte.
        retries: how often in a row an address may break off without a byte gained.

    Returns:
        The path of a file whose checksum is ``checksum``.

    Raises:
        ValueError: a file of this name in ``LAMINA_DATA`` has another checksum.
        DownloadError: (an OSError) no address gave the file; says why, and where to put it.

    Example:
        >>> path = fetch.get("a.csv", ["https://example.org/a.csv"], "sha256:6f608b71a7317...")
    """
    for folder in data_folders():
        path = folder / name
        if path.is_file():
            if (found := digest(path, checksum)) != checksum:
                raise ValueError(
                    f"{path} must have the checksum {checksum}, got {found}: replace it by the "
                    f"file at {addresses[0]}, or move it out of the folders in LAMINA_DATA"
                )
            return path

    kept = cache_folder() / name
    failures = []
    if kept.is_file():
        if (found := digest(kept, checksum)) == checksum:
            return kept
        failures.append(f"{kept}: damaged, its checksum is {found}")
    for address in addresses:
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            download(address, kept, checksum, timeout=timeout, retries=retries)
            return kept
        except DownloadError as error:
            failures.append(f"{address}: {error}")
        except OSError as error:
            raise DownloadError(
                f"{name} must be written in {kept.parent}, which failed ({error}): "
                "set LAMINA_CACHE to a folder that is writable and has room"
            ) from error
    raise DownloadError(_explain(name, checksum, failures))


def _explain(name: str, checksum: str, failures: list[str]) -> str:
    """What was tried, and how to bring the file here by hand."""
    places = [
        f"{folder} (in LAMINA_DATA{'' if folder.is_dir() else ', no such folder yet'})"
        for folder in data_folders()
    ] or ["any folder, with the environment variable LAMINA_DATA set to it (not set now)"]
    places.append(f"{cache_folder()} (the cache)")
    lines = [f"{name} is needed, is not on this machine and could not be downloaded:"]
    lines += [f"  {failure}" for failure in failures]
    lines += [f"Download it elsewhere and put it, as {name} with the checksum {checksum}, in"]
    lines += ["  " + "\n  or ".join(places)]
    return "\n".join(lines)
