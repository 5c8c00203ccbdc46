"""What is installed here, which device there is, and the line that mends a CuPy that fails.

`report()` collects plain data, `text()` words it; ``python -m lamina`` prints it. A newcomer may
add a package to `PACKAGES`, or a case to `_judge`, which decides what is wrong and what mends it.
"""

import importlib.metadata
import importlib.util
import os
import platform
import sys

import numpy as np

from lamina import __version__, config
from lamina.backend import _nvidia, blas

PACKAGES = (
    "array-api-compat",
    "numpy",
    "array-api-strict",
    "matplotlib",
    "numba",
    "pandas",
    "torch",
)

# Words by which CuPy's errors name a CUDA library or header, which its wheel does not bring.
_TOOLKIT_WORDS = ("libcu", "libnv", "nvrtc", "header", "source file", ".so", ".dll")

_LATER = 'pip install "lamina[cuda13]", or "lamina[cuda12]" where the driver says CUDA 12'


def report() -> dict:
    """Facts on packages, processor, CUDA and the backend ``"auto"`` picks, as plain data.

    Returns:
        ``{"packages": {name: version}, "machine": {...}, "cuda": {...}, "auto": "numpy"|"cupy"}``.
        Memory is in bytes; what cannot be told is None. ``cuda["remedy"]`` is a list of lines to
        run, empty where nothing needs mending or no command can.

    Example:
        >>> report()["cuda"]["remedy"]
        ['pip install "lamina[cuda12]"']
    """
    cuda = cuda_report()
    return {
        "packages": packages(),
        "machine": machine(),
        "cuda": cuda,
        "auto": "cupy" if cuda["works"] else "numpy",
    }


def packages() -> dict[str, str]:
    """The versions of Python, of lamina and of what it can use, of those that are installed."""
    found = {"lamina": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict:
    """The processor, its memory in bytes, and the BLAS that NumPy multiplies matrices with."""
    built = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": config.usable_cores(),
        "memory": _memory(),
        "blas": " ".join(built[key] for key in ("name", "version") if built.get(key))
        or blas.name(),
        "blas_core": blas.core(),
        "blas_threads": blas.threads(),
        "loops": _loops(),
    }


def _loops() -> str:
    """Whether numba, which is not loaded for it, compiles loops for large arrays, in words."""
    if importlib.util.find_spec("numba") is None:
        return 'none: pip install "lamina[numba]" makes large networks faster on the CPU'
    if not config.numba():
        return "none: config.numba() is off, as LAMINA_NUMBA=0 has it"
    return "compiled by numba, for large arrays"


def cuda_report() -> dict:
    """The CUDA driver, the devices, every CuPy found, whether it computes, and what mends it."""
    driver = _nvidia.driver_version()
    found = distributions()
    failure, devices = _try_cupy()
    works = failure is None
    problem, remedy = _judge(driver, found, failure)
    return {
        "driver": ".".join(map(str, driver)) if driver else None,
        "devices": devices if works else _nvidia.devices(),
        "cupy": found,
        "works": works,
        "problem": problem,
        "remedy": remedy,
        "extra": _extra(driver),
    }


def distributions() -> dict[str, str]:
    """Every installed distribution whose name starts with ``cupy``, with its version."""
    found = {}
    for distribution in importlib.metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if name.startswith("cupy"):
            found[name] = distribution.version
    return dict(sorted(found.items()))


def _memory() -> int | None:
    """Bytes of main memory, None where the system has no simple way to ask."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _try_cupy() -> tuple[Exception | None, list[dict]]:
    """Compute one element and one matrix product: (what failed or None, the devices)."""
    if "cupy" not in sys.modules and importlib.util.find_spec("cupy") is None:
        return ModuleNotFoundError("No module named 'cupy'"), []
    # Whatever a broken installation raises is the thing to report, hence the wide excepts.
    try:
        import cupy
    except Exception as error:
        return error, []
    try:
        if not cupy.cuda.is_available():
            return RuntimeError("CuPy finds no CUDA device"), []
        if float(cupy.ones(1).sum()) != 1:
            return RuntimeError("CuPy computes a wrong sum"), []
        square = cupy.ones((2, 2), dtype="float32")
        if float((square @ square).sum()) != 8:
            return RuntimeError("CuPy computes a wrong matrix product"), []
        return None, [_device(cupy, i) for i in range(cupy.cuda.runtime.getDeviceCount())]
    except Exception as error:
        return error, []


def _device(cupy, index: int) -> dict:
    name = cupy.cuda.runtime.getDeviceProperties(index)["name"]
    with cupy.cuda.Device(index):
        free, total = cupy.cuda.runtime.memGetInfo()
    name = name.decode() if isinstance(name, bytes) else name
    return {"name": name, "memory": total, "free": free}


def _extra(driver: tuple[int, int] | None) -> str | None:
    """The extra of lamina that brings a CuPy for this driver; None where no CuPy would run."""
    if driver is None or driver[0] < 12:
        return None
    return "cuda12" if driver[0] == 12 else "cuda13"


def _judge(
    driver: tuple[int, int] | None, found: dict[str, str], failure: Exception | None
) -> tuple[str | None, list[str]]:
    """What is wrong, in one sentence, and the lines that mend it: (None, []) when all is well."""
    wheels = [name for name in found if name == "cupy" or name.startswith(("cupy-cuda", "cupy-r"))]
    extra = _extra(driver)
    install = f'pip install "lamina[{extra}]"'
    if extra and len(wheels) > 1:
        overwritten = f"{len(wheels)} CuPy packages overwrite each other: {', '.join(wheels)}"
        return overwritten, [f"pip uninstall -y {' '.join(wheels)}", install]
    if failure is None:
        return None, []
    if driver is None:
        return "no NVIDIA driver answers on this machine: NumPy is what will be used", []
    if extra is None:
        version = ".".join(map(str, driver))
        return f"the driver runs CUDA {version}, CuPy needs 12 or newer: update the driver", []
    if not wheels and isinstance(failure, ModuleNotFoundError):
        return "there is a CUDA driver, but CuPy is not installed", [install]
    return _judge_failure(wheels[0] if wheels else "cupy", driver[0], install, failure)


def _judge_failure(
    wheel: str, driver: int, install: str, failure: Exception
) -> tuple[str, list[str]]:
    """The case of one CuPy that is installed, beside a driver new enough, and fails."""
    built_for = _cuda_of(wheel)
    if built_for is not None and not 12 <= built_for <= driver:
        problem = f"{wheel} is built for CUDA {built_for}, the driver runs CUDA {driver}"
        return problem, [f"pip uninstall -y {wheel}", install]
    said = f"{type(failure).__name__}: {failure}".splitlines()[0]
    if any(word in str(failure).lower() for word in _TOOLKIT_WORDS):
        named = wheel if built_for else f"cupy-cuda{min(driver, 13)}x"
        return f"CuPy misses a part of CUDA ({said})", [f'pip install "{named}[ctk]"']
    if "no CUDA device" in str(failure) or "NoDevice" in str(failure):
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        hidden = f": CUDA_VISIBLE_DEVICES is {visible!r}" if visible is not None else ""
        return f"there is a CUDA driver, but no device that CuPy can use{hidden}", []
    return f"CuPy is installed but fails ({said})", [f"pip uninstall -y {wheel}", install]


def _cuda_of(wheel: str) -> int | None:
    """The CUDA a wheel such as cupy-cuda12x is built for; None for a build from source."""
    digits = "".join(filter(str.isdigit, wheel))
    return int(digits[:2]) if digits else None


def text(facts: dict) -> str:
    """`report()` as lines for a person."""
    machine, cuda = facts["machine"], facts["cuda"]
    core, threads = machine["blas_core"], machine["blas_threads"]
    lines = [f"{name:<18}{version}" for name, version in facts["packages"].items()]
    lines += [
        "",
        f"{'machine':<18}{machine['platform']}, {machine['cores']} cores, "
        f"{_gib(machine['memory'])} of memory",
        f"{'BLAS':<18}{machine['blas'] or 'unknown'}"
        + (f", for {core}" if core else "")
        + (f", {threads} threads" if threads else ""),
        f"{'loops':<18}{machine['loops']}",
        "",
        f"{'CUDA driver':<18}{cuda['driver'] or 'none'}",
    ]
    for index, device in enumerate(cuda["devices"]):
        memory = f"{_gib(device['free'])} of {_gib(device['memory'])} free"
        lines.append(f"{f'device {index}':<18}{device['name']}, {memory}")
    wheels = ", ".join(f"{name} {version}" for name, version in cuda["cupy"].items())
    lines.append(f"{'CuPy packages':<18}{wheels or 'none'}")
    lines.append(f"{'CuPy works':<18}{'yes' if cuda['works'] else 'no'}")
    if cuda["problem"]:
        lines.append(f"{'problem':<18}{cuda['problem']}")
    lines += [f"{'to mend it, run':<18}{line}" for line in cuda["remedy"]]
    if cuda["driver"] is None and not cuda["cupy"]:
        lines.append(f"{'with a GPU, run':<18}{_LATER}")
    lines.append(f'{"auto":<18}backend="auto" is {facts["auto"]!r} here')
    return "\n".join(lines)


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 2**30:.1f} GiB"
