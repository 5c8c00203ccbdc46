"""One file over HTTP: resumed where it broke off, checked, and put in its place in one move.

The bytes go to a file of this process's own beside the target. Only a complete file with the right
checksum is renamed to the target, so no reader, in this process or another, ever sees a part or a
wrong file. A transfer that breaks off leaves ``<name>.part``; the next one takes it over by
renaming it, which only one process can do.
"""

import hashlib
import os
import secrets
import sys
import time
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

_CHUNK = 1 << 18  # bytes per read
_PAUSE = 0.5  # seconds before the first retry; doubles with each
_ABANDONED = 600.0  # seconds without a write after which a part's process must be gone
_LARGE = 4 << 20  # bytes from which progress is shown


class DownloadError(OSError):
    """A file could not be downloaded; the message says why and what to do."""


class _Broken(Exception):
    """A transfer that broke off in a way that may pass: worth another try."""


def digest(path: Path, checksum: str) -> str:
    """The checksum of a file, in the algorithm and form of ``checksum``."""
    algorithm = checksum.partition(":")[0]
    with open(path, "rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def download(address: str, target: Path, checksum: str, *, timeout: float, retries: int) -> None:
    """Download ``address`` to ``target``, which exists afterwards only if its checksum is right.

    Args:
        address: an http or https URL.
        target: the file to make or replace; its folder exists.
        checksum: ``"<algorithm>:<hex digits>"``.
        timeout: seconds to wait for the next byte.
        retries: how often in a row the transfer may break off without a byte gained.

    Raises:
        DownloadError: missing, unreachable, too slow, broken off or of a wrong checksum.
        OSError: the target's folder cannot be written.
    """
    own = target.with_name(f"{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    resumed = _take_over(target, own)
    try:
        _receive(address, own, timeout, retries)
        found = digest(own, checksum)
        if found != checksum and resumed:
            # What is wrong may be the old part: once more, from the first byte.
            own.unlink()
            _receive(address, own, timeout, retries)
            found = digest(own, checksum)
        if found != checksum:
            size = own.stat().st_size
            own.unlink()
            raise DownloadError(
                f"corrupted: the {size} bytes received have the checksum {found}, expected "
                f"{checksum}; they were deleted"
            )
        os.replace(own, target)
    except BaseException:
        if own.exists():
            os.replace(own, _leftover(target))
        raise


def _leftover(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _take_over(target: Path, own: Path) -> bool:
    """Rename a part that an earlier transfer left to ``own``; True if there was one."""
    for part in [_leftover(target), *target.parent.glob(f"{target.name}.*.part")]:
        try:
            if part == _leftover(target) or time.time() - part.stat().st_mtime > _ABANDONED:
                os.rename(part, own)
                return True
        except OSError:  # another process took it, or, on Windows, still writes it
            continue
    return False


def _receive(address: str, part: Path, timeout: float, retries: int) -> None:
    """Complete ``part``, going on where a transfer broke off."""
    most, failures = _size(part), 0
    while True:
        try:
            return _receive_once(address, part, timeout)
        except _Broken as error:
            if _size(part) > most:
                most, failures = _size(part), 0
            failures += 1
            if failures > retries:
                kept = f"; the {_size(part)} bytes received are kept for the next try"
                raise DownloadError(f"{error}{kept if _size(part) else ''}") from error
        time.sleep(_PAUSE * 2 ** (failures - 1))


def _receive_once(address: str, part: Path, timeout: float) -> None:
    start = _size(part)
    headers = {"User-Agent": "lamina", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    answer = _open(Request(address, headers=headers), timeout)
    if answer is None:
        return
    with answer:
        if answer.status != 206:
            start = 0  # the server sends the whole file, whatever was asked
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            part.unlink()
            raise _Broken(f"asked for the bytes from {start}, got others")
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        done = start
        with open(part, "ab" if start else "wb") as file, _Progress(part, total) as progress:
            while chunk := _read(answer, timeout):
                file.write(chunk)
                done += len(chunk)
                progress.show(done)
    if total is not None and done < total:
        raise _Broken(f"truncated: it ended after {done} of {total} bytes")


def _open(request: Request, timeout: float) -> HTTPResponse | None:
    """The server's answer; None when nothing is left to send after the bytes we have."""
    try:
        return urlopen(request, timeout=timeout)
    except HTTPError as error:
        error.close()
        if error.code == 416 and request.has_header("Range"):
            return None
        reason = f"the server answered {error.code} ({error.reason})"
        if error.code >= 500 or error.code in (408, 429):
            raise _Broken(reason) from error
        if error.code in (404, 410):
            reason = f"missing: {reason}"
        raise DownloadError(reason) from error
    except URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _Broken(_slow(timeout)) from error
        raise DownloadError(f"unreachable: {error.reason}") from error
    except TimeoutError as error:
        raise _Broken(_slow(timeout)) from error
    except (OSError, HTTPException) as error:
        raise _Broken(f"the connection broke: {error}") from error


def _read(answer: HTTPResponse, timeout: float) -> bytes:
    try:
        return answer.read1(_CHUNK)
    except TimeoutError as error:
        raise _Broken(_slow(timeout)) from error
    except (OSError, HTTPException) as error:
        raise _Broken(f"the connection broke: {error}") from error


def _slow(timeout: float) -> str:
    return f"too slow: not a byte came for {timeout:g} s"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class _Progress:
    """A line on stderr for large files, in terminals only."""

    def __init__(self, part: Path, total: int | None):
        self.name = part.name.rsplit(".", 2)[0]
        self.total = total or 0
        self.shown = self.total >= _LARGE and sys.stderr is not None and sys.stderr.isatty()
        self.percent = -1

    def __enter__(self) -> "_Progress":
        return self

    def show(self, done: int) -> None:
        if self.shown and (percent := 100 * done // self.total) != self.percent:
            self.percent = percent
            line = f"\r{self.name}: {percent:3d} % of {self.total / 1e6:.0f} MB"
            print(line, end="", file=sys.stderr, flush=True)

    def __exit__(self, *exception: object) -> None:
        if self.percent >= 0:
            print(file=sys.stderr)
