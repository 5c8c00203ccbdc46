"""Finding and downloading data files, against a server on this machine."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lamina.datasets import _download, fetch

CONTENT = bytes(range(256)) * 400
CHECKSUM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
NAME = "numbers.bin"


class Server:
    """Serves CONTENT, or what a test sets, and keeps the ranges it was asked for."""

    def __init__(self):
        self.content = CONTENT
        self.status = 200
        self.break_after = []  # bytes to send before breaking off, one for each answer to break
        self.ranges_honoured = True
        self.with_length = True
        self.asked = []
        self.release = threading.Event()
        self.silent = False
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                owner.answer(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()
        self.address = f"http://127.0.0.1:{self.http.server_port}/{NAME}"

    def answer(self, handler):
        asked = handler.headers["Range"]
        self.asked.append(asked)
        start, status = 0, self.status
        if asked and self.ranges_honoured and status == 200:
            start, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
            if start >= len(self.content):
                status = 416
        handler.send_response(status)
        body = self.content[start:] if status in (200, 206) else b""
        if status == 206:
            size = len(self.content)
            handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if self.with_length:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if self.break_after:
            body = body[: self.break_after.pop(0)]
        handler.wfile.write(body)
        if self.silent:
            handler.wfile.flush()
            self.release.wait(10)

    def close(self):
        self.release.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, no other folder, no proxy and no waiting between tries."""
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LAMINA_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(_download, "_PAUSE", 0.0)
    return tmp_path / "cache"


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def unused_address():
    """An address on which nobody answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as http:
        return f"http://127.0.0.1:{http.server_port}/{NAME}"


def test_downloads_once(server, cache):
    for _ in range(2):
        path = fetch.get(NAME, [server.address], CHECKSUM)
        assert path == cache / NAME
        assert files(cache) == {NAME: CONTENT}
    assert server.asked == [None]


@pytest.mark.parametrize("algorithm", ["md5", "sha256", "sha512"])
def test_algorithm_of_checksum(server, cache, algorithm):
    checksum = f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest()}"
    assert fetch.get(NAME, [server.address], checksum).read_bytes() == CONTENT


def test_without_content_length(server, cache):
    server.with_length = False
    assert fetch.get(NAME, [server.address], CHECKSUM).read_bytes() == CONTENT


def test_truncated_is_resumed_within_one_call(server, cache):
    server.break_after = [1000, 500]
    fetch.get(NAME, [server.address], CHECKSUM)
    assert files(cache) == {NAME: CONTENT}
    assert server.asked == [None, "bytes=1000-", "bytes=1500-"]


def test_truncated_each_time(server, cache):
    server.break_after = [1000, 0, 0]
    with pytest.raises(fetch.DownloadError, match=r"truncated: it ended after 1000 of 102400"):
        fetch.get(NAME, [server.address], CHECKSUM, retries=2)
    assert files(cache) == {f"{NAME}.part": CONTENT[:1000]}


def test_resumed_by_the_next_call(server, cache):
    server.break_after = [70_000]
    with pytest.raises(fetch.DownloadError, match="the 70000 bytes received are kept"):
        fetch.get(NAME, [server.address], CHECKSUM, retries=0)
    fetch.get(NAME, [server.address], CHECKSUM)
    assert server.asked == [None, "bytes=70000-"]
    assert files(cache) == {NAME: CONTENT}


def test_range_not_honoured(server, cache):
    server.ranges_honoured = False
    server.break_after = [1000]
    fetch.get(NAME, [server.address], CHECKSUM)
    assert server.asked == [None, "bytes=1000-"]
    assert files(cache) == {NAME: CONTENT}


def test_part_that_is_whole_already(server, cache):
    cache.mkdir()
    (cache / f"{NAME}.part").write_bytes(CONTENT)
    fetch.get(NAME, [server.address], CHECKSUM)
    assert server.asked == [f"bytes={len(CONTENT)}-"]
    assert files(cache) == {NAME: CONTENT}


@pytest.mark.parametrize("size", [100, len(CONTENT), len(CONTENT) + 1])
def test_part_of_another_file_is_dropped(server, cache, size):
    cache.mkdir()
    (cache / f"{NAME}.part").write_bytes(b"x" * size)
    fetch.get(NAME, [server.address], CHECKSUM)
    assert server.asked == [f"bytes={size}-", None]
    assert files(cache) == {NAME: CONTENT}


def test_part_of_a_process_long_gone_is_resumed(server, cache):
    cache.mkdir()
    orphan, alive = cache / f"{NAME}.1-aa.part", cache / f"{NAME}.2-bb.part"
    for part in (orphan, alive):
        part.write_bytes(CONTENT[:100])
    os.utime(orphan, (time.time() - 3600,) * 2)
    fetch.get(NAME, [server.address], CHECKSUM)
    assert server.asked == ["bytes=100-"]
    assert files(cache) == {NAME: CONTENT, alive.name: CONTENT[:100]}


def test_corrupted(server, cache):
    server.content = CONTENT[:-1] + b"?"
    found = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(fetch.DownloadError, match=f"corrupted: .*{found}") as caught:
        fetch.get(NAME, [server.address], CHECKSUM)
    assert CHECKSUM in str(caught.value)
    assert files(cache) == {}


@pytest.mark.parametrize("sent", [0, 5000])
def test_slow(server, cache, sent):
    server.silent = True
    server.break_after = [sent]
    with pytest.raises(fetch.DownloadError, match=r"too slow: not a byte came for 0\.1 s"):
        fetch.get(NAME, [server.address], CHECKSUM, timeout=0.1, retries=0)
    assert NAME not in files(cache)
    assert files(cache).get(f"{NAME}.part", b"") == CONTENT[:sent]


def test_missing(server, cache):
    server.status = 404
    with pytest.raises(fetch.DownloadError, match=r"missing: the server answered 404"):
        fetch.get(NAME, [server.address], CHECKSUM)
    assert len(server.asked) == 1
    assert files(cache) == {}


@pytest.mark.parametrize("status, tries", [(403, 1), (416, 1), (429, 3), (503, 3)])
def test_refused(server, cache, status, tries):
    server.status = status
    with pytest.raises(fetch.DownloadError, match=f"the server answered {status}"):
        fetch.get(NAME, [server.address], CHECKSUM, retries=2)
    assert len(server.asked) == tries
    assert files(cache) == {}


def test_second_address_goes_on_where_the_first_broke_off(server, cache):
    other = Server()
    try:
        other.break_after = [3000]
        fetch.get(NAME, [other.address, server.address], CHECKSUM, retries=0)
    finally:
        other.close()
    assert server.asked == ["bytes=3000-"]
    assert files(cache) == {NAME: CONTENT}


def test_offline_says_what_to_put_where(cache, tmp_path, monkeypatch):
    folders = [tmp_path / "one", tmp_path / "two"]
    folders[0].mkdir()
    monkeypatch.setenv("LAMINA_DATA", os.pathsep.join(map(str, folders)))
    addresses = [unused_address(), unused_address()]
    with pytest.raises(OSError) as caught:
        fetch.get(NAME, addresses, CHECKSUM)
    message = str(caught.value)
    for part in [NAME, CHECKSUM, *addresses, *map(str, folders), str(cache), "unreachable"]:
        assert part in message
    assert f"{folders[1]} (in LAMINA_DATA, no such folder yet)" in message


def test_offline_without_lamina_data_names_the_variable():
    with pytest.raises(fetch.DownloadError, match="LAMINA_DATA set to it"):
        fetch.get(NAME, [unused_address()], CHECKSUM)


def test_lamina_data_comes_first(server, cache, tmp_path, monkeypatch):
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    full.mkdir()
    (full / NAME).write_bytes(CONTENT)
    monkeypatch.setenv("LAMINA_DATA", f"{empty}{os.pathsep}{full}")
    assert fetch.get(NAME, [server.address], CHECKSUM) == full / NAME
    assert server.asked == []
    assert files(cache) == {}


def test_wrong_file_in_lamina_data_is_an_error_and_stays(server, cache, tmp_path, monkeypatch):
    (tmp_path / NAME).write_bytes(b"something else")
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path))
    found = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(
        ValueError, match=f"{NAME} must have the checksum {CHECKSUM}, got .*{found}"
    ):
        fetch.get(NAME, [server.address], CHECKSUM)
    assert (tmp_path / NAME).read_bytes() == b"something else"
    assert server.asked == []


def test_damaged_file_in_cache_is_replaced(server, cache):
    cache.mkdir()
    (cache / NAME).write_bytes(CONTENT[:10])
    fetch.get(NAME, [server.address], CHECKSUM)
    assert files(cache) == {NAME: CONTENT}


def test_damaged_file_in_cache_is_never_used(cache):
    cache.mkdir()
    (cache / NAME).write_bytes(CONTENT[:10])
    with pytest.raises(fetch.DownloadError, match=f"{NAME}: damaged, its checksum is sha256:"):
        fetch.get(NAME, [unused_address()], CHECKSUM)


def test_interrupted_by_the_user_keeps_the_part(server, cache, monkeypatch):
    def interrupted(path, checksum):
        raise KeyboardInterrupt

    monkeypatch.setattr(_download, "digest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch.get(NAME, [server.address], CHECKSUM)
    assert files(cache) == {f"{NAME}.part": CONTENT}


def test_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path / "file"))
    with pytest.raises(fetch.DownloadError, match="set LAMINA_CACHE to a folder"):
        fetch.get(NAME, [server.address], CHECKSUM)


def test_many_at_once(server, cache):
    """Threads, and a process, that fetch the same file all get it whole."""
    server.break_after = [50_000, 100, 7_000, 90_000]
    code = (
        "import sys; from lamina.datasets import fetch;"
        "fetch.get(sys.argv[1], [sys.argv[2]], sys.argv[3])"
    )
    process = subprocess.Popen([sys.executable, "-c", code, NAME, server.address, CHECKSUM])
    errors = []

    def one():
        try:
            assert fetch.get(NAME, [server.address], CHECKSUM).read_bytes() == CONTENT
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert process.wait(60) == 0
    assert errors == []
    assert files(cache) == {NAME: CONTENT}


def test_progress_is_silent_outside_terminals(server, cache, capsys, monkeypatch):
    monkeypatch.setattr(_download, "_LARGE", 0)
    fetch.get(NAME, [server.address], CHECKSUM)
    assert capsys.readouterr() == ("", "")


def test_progress_in_a_terminal(server, cache, capsys, monkeypatch):
    monkeypatch.setattr(_download, "_LARGE", 0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fetch.get(NAME, [server.address], CHECKSUM)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"\r{NAME}:")
    assert err.endswith("100 % of 0 MB\n")


@pytest.mark.parametrize(
    "platform, variables, expected",
    [
        ("linux", {"XDG_CACHE_HOME": "xdg"}, ("xdg", "lamina")),
        ("linux", {}, ("home", ".cache", "lamina")),
        ("darwin", {}, ("home", "Library", "Caches", "lamina")),
        ("win32", {"LOCALAPPDATA": "local"}, ("local", "lamina")),
        ("win32", {}, ("home", "AppData", "Local", "lamina")),
    ],
)
def test_cache_folder(tmp_path, monkeypatch, platform, variables, expected):
    for name in ("LAMINA_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setattr(sys, "platform", platform)
    assert fetch.cache_folder() == tmp_path.joinpath(*expected)
