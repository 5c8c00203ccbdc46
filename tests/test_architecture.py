"""The plan of the house, read from the source: who may import whom, and what stays small."""

import ast
import functools
import importlib
import pathlib
import pkgutil
import subprocess
import sys
import zipfile

import pytest

import lamina

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "lamina"
FILES = sorted(SOURCE.rglob("*.py"))

# A room imports only from rooms of lower rank; rooms of one rank may know each other.
PARTS = (
    "activations",
    "constraints",
    "initializers",
    "losses",
    "metrics",
    "optimizers",
    "regularizers",
    "schedules",
)
RANKS = {
    "errors": 0,
    "config": 0,
    "dtype_policies": 0,
    "registry": 0,
    "backend": 1,
    "autograd": 2,
    "xp": 2,
    "ops": 3,
    "kernels": 4,
    "_einops": 4,
    **dict.fromkeys(PARTS, 5),
    "layers": 6,
    "data": 7,
    "models": 8,
    "callbacks": 8,
    "utils": 8,
    "applications": 9,
    "datasets": 9,
    "saving": 10,
    "explain": 10,
    "plotting": 11,
    "testing": 12,
    "__init__": 13,
    "__main__": 13,
}
# Conveniences that reach down the list, and therefore import when they are called:
# history.plot(), model.save(...).
REACHES_DOWN = {("models", "plotting"), ("models", "saving")}

# The face imports NumPy before all else: reached through a dozen nested imports it costs CPython
# 3.11 a third more, since deep frames fall on another chunk of its stack.
HOST_ROOMS = {"__init__", "backend", "kernels", "data", "datasets", "plotting", "saving", "testing"}
ARRAY_ROOMS = {"backend", "kernels"}
ARRAY_LIBRARIES = {"cupy", "cupyx", "jax", "torch"}
COMPILERS = {"llvmlite", "numba"}
HEAVY = {*ARRAY_LIBRARIES, *COMPILERS, "h5py", "matplotlib", "onnx", "pandas", "scipy", "sklearn"}
# A class of matplotlib's with more to it; its room imports it when a picture is drawn.
HEAVY_AT_ONCE = {("plotting", "matplotlib")}

LONGEST_FILE = 400
LARGEST_WHEEL = 600_000


def room_of(path):
    """The room a source file belongs to: the first part of its path below lamina."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@functools.cache
def imports_of(path):
    """Pairs (dotted name, whether at import time) of what a file imports.

    Imports for type checkers only do not run, hence do not count.
    """
    package = ("lamina", *path.relative_to(SOURCE).parts[:-1])
    found = []

    def visit(node, at_import):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                visit(child, at_import)
            return
        if isinstance(node, ast.Import):
            found.extend((alias.name, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*start, *filter(None, [node.module])])
            found.extend((f"{base}.{alias.name}", at_import) for alias in node.names)
        inside = at_import and not isinstance(node, ast.FunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(path.read_text(encoding="utf-8")), True)
    return tuple(found)


def breaches(path):
    """What a file imports against the plan, in words."""
    room = room_of(path)
    found = []
    for name, at_import in imports_of(path):
        top, _, rest = name.partition(".")
        if top == "lamina":
            other = rest.partition(".")[0]
            allowed = other == room or RANKS.get(other, -1) <= RANKS[room]
            if not allowed and (at_import or (room, other) not in REACHES_DOWN):
                found.append(f"{room} imports {other}, which is below it")
        if top == "numpy" and room not in HOST_ROOMS:
            found.append(f"{room} imports numpy: only {sorted(HOST_ROOMS)} may")
        if top in ARRAY_LIBRARIES and room not in ARRAY_ROOMS:
            found.append(f"{room} imports {top}: only {sorted(ARRAY_ROOMS)} may")
        private = path.name.startswith("_")
        if top in HEAVY and at_import and not (private and (room, top) in HEAVY_AT_ONCE):
            found.append(f"{top} is imported with the module: import it where it is used")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_from_rooms_above_it(path):
    assert room_of(path) in RANKS, f"{path.name} is a new room: give it a rank in this file"
    assert breaches(path) == []


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("autograd/x.py", "from lamina import layers", "layers, which is below"),
        ("autograd/x.py", "def f():\n    from lamina.ops.a import b", "ops, which is below"),
        ("layers/x.py", "from ..models import Sequential", "models, which is below"),
        ("layers/x.py", "import numpy as np", "only"),
        ("models/x.py", "def f():\n    import cupy", "only"),
        ("plotting/x.py", "import matplotlib.pyplot as plt", "where it is used"),
    ],
)
def test_a_breach_is_seen(tmp_path, monkeypatch, file, text, words):
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text(text)
    assert any(words in breach for breach in breaches(path))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("models/x.py", "def f():\n    from lamina import plotting"),
        ("layers/x.py", "if TYPE_CHECKING:\n    import numpy as np"),
        ("plotting/x.py", "def f():\n    import matplotlib.pyplot as plt"),
    ],
)
def test_what_the_plan_allows_is_no_breach(tmp_path, monkeypatch, file, text):
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text(text)
    assert breaches(path) == []


def public_modules():
    """lamina and its modules that have no private part in their name, by dotted name."""
    yield "lamina"
    for module in pkgutil.walk_packages(lamina.__path__, "lamina."):
        if not any(part.startswith("_") for part in module.name.split(".")):
            yield module.name


@pytest.mark.parametrize("name", sorted(public_modules()))
def test_the_listed_names_are_there_and_are_all(name):
    module = importlib.import_module(name)
    listed = list(getattr(module, "__all__", ()))
    assert len(listed) == len(set(listed))
    assert [n for n in listed if not hasattr(module, n)] == []
    if hasattr(module, "__path__"):
        assert set(defined_in(pathlib.Path(module.__file__))) - set(listed) == set()


def defined_in(path):
    """Public functions and classes that a file defines at its top level.

    Names that it imports, and the order of ``__all__``, are the style check's to judge.
    """
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


@pytest.mark.parametrize("folder", ["src", "ci", "examples"])
def test_files_stay_short(folder):
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    }
    assert long == {}


@pytest.mark.parametrize("rooms", [["lamina"], sorted(public_modules())], ids=["face", "rooms"])
def test_importing_lamina_imports_nothing_heavy(rooms):
    rooms = [room for room in rooms if not room.endswith("__main__")]
    program = f"import sys, {', '.join(rooms)}; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) & {*HEAVY, "keras"} == set()


def test_the_wheel_is_small_pure_and_typed(tmp_path):
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"lamina-{lamina.__version__}-py3-none-any.whl"
    assert wheel.stat().st_size < LARGEST_WHEEL
    names = zipfile.ZipFile(wheel).namelist()
    assert "lamina/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert [n for n in names if n.endswith((".so", ".pyd", ".dll", ".dylib"))] == []
    shipped = {name for name in names if name.startswith("lamina/")}
    tracked = {
        path.relative_to(SOURCE.parent).as_posix()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == tracked


ROOMS = """activations applications callbacks config constraints datasets explain initializers
layers losses metrics models ops optimizers plotting regularizers saving testing utils""".split()


@pytest.mark.parametrize("room", ROOMS)
def test_completion_shows_what_is_listed(room):
    module = importlib.import_module(f"lamina.{room}")
    assert dir(module) == sorted(module.__all__)


@pytest.mark.parametrize(
    ("room", "name", "message"),
    [
        ("layers", "Quux", "lamina has no layer 'Quux'; it has Activation, .*Dense, "),
        ("layers", "LSTM", "no layer 'LSTM' yet: recurrence, attention and embeddings are to come"),
        ("layers", "Embedding", "no layer 'Embedding' yet"),
        ("layers", "MultiHeadAttention", "no layer 'MultiHeadAttention' yet"),
        ("layers", "Lambda", r"no layer 'Lambda': write Activation\(function\)"),
        ("layers", "Dens", "lamina has no layer 'Dens': did you mean 'Dense'"),
        ("losses", "MeanSquareError", "no loss .*did you mean 'MeanSquaredError'"),
        ("metrics", "BinaryAcuracy", "no metric .*did you mean 'BinaryAccuracy'"),
        ("optimizers", "Adamw", "no optimizer .*did you mean 'AdamW'"),
        ("ops", "einsm", "no op 'einsm': did you mean 'einsum'"),
        ("models", "load_model", "no 'load_model' yet: .*save_weights and load_weights"),
        ("models", "Sequental", "no model .*did you mean 'Sequential'"),
        ("explain", "gradcam", "no explanation .*did you mean 'grad_cam'"),
        ("callbacks", "EarlyStop", "no callback .*did you mean 'EarlyStopping'"),
    ],
)
def test_a_room_says_what_it_lacks(room, name, message):
    module = importlib.import_module(f"lamina.{room}")
    with pytest.raises(AttributeError, match=message):
        getattr(module, name)
    assert not hasattr(module, "__nothing__")


def test_the_library_names_what_is_nearest():
    with pytest.raises(AttributeError, match="no attribute 'gard': did you mean 'grad'"):
        _ = lamina.gard
    with pytest.raises(AttributeError, match="no attribute 'quux'$"):
        _ = lamina.quux
