"""What NVIDIA's driver says of itself, asked without CuPy: its CUDA version and its devices.

``nvidia-smi`` is asked first, the driver's own library where that program is missing.
"""

import subprocess


def driver_version() -> tuple[int, int] | None:
    """The newest CUDA version the driver runs, as (major, minor); None without a driver."""
    return _version_from_smi(_smi()) or _version_from_library()


def devices() -> list[dict]:
    """Name, memory and free memory (bytes) of each device that nvidia-smi lists."""
    listing = _smi("--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
    found = []
    for line in listing.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 3:
            found.append({"name": fields[0], "memory": _mib(fields[1]), "free": _mib(fields[2])})
    return found


def _mib(field: str) -> int | None:
    return int(field) * 2**20 if field.isdigit() else None


def _smi(*arguments: str) -> str:
    """The output of nvidia-smi, empty when it is missing, fails, or hangs."""
    try:
        done = subprocess.run(
            ["nvidia-smi", *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _version_from_smi(printed: str) -> tuple[int, int] | None:
    import re

    match = re.search(r"CUDA (?:UMD )?Version\s*:\s*(\d+)\.(\d+)", printed)
    return (int(match[1]), int(match[2])) if match else None


def _version_from_library() -> tuple[int, int] | None:
    import ctypes

    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        number = ctypes.c_int()
        if library.cuDriverGetVersion(ctypes.byref(number)) == 0 and number.value:
            return number.value // 1000, number.value % 1000 // 10
    return None
