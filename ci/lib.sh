# Shared by the scripts beside this file: find a Python, make an environment, install into it, once.
# Sourced, not run. Afterwards the working folder is the root of the checkout.
#
#   PYTHON        the interpreter to use; else the first 3.11 or newer on PATH that can make one
#   LAMINA_VENV   where the environment lives; else .cache/ in the checkout, which git ignores

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"
unset PYTHONHOME
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_USER=0 PYTHONNOUSERSITE=1
export PYTHONUNBUFFERED=1 MPLBACKEND=Agg

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Prints the interpreter to build environments with.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python python3.{14,13,12,11}; do
        if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
                >/dev/null 2>&1 </dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "lamina needs Python 3.11 or newer with venv and pip (on Debian and Ubuntu: apt install" \
        "python3-venv), none found on PATH: install one, or name it: PYTHON=/path/to/python bash $0"
}

# make_venv NAME [venv options]: sets $python to the environment's interpreter, made when missing.
make_venv() {
    local name="$1" base
    shift
    venv="${LAMINA_VENV:-$root/.cache/venv-$name}"
    python="$venv/bin/python"
    [[ -d "$venv/Scripts" ]] && python="$venv/Scripts/python.exe"
    "$python" -c 'import pip' >/dev/null 2>&1 </dev/null && return
    base="$(find_python)"
    say "making $venv with $("$base" --version)"
    "$base" -m venv --clear "$@" "$venv"
    [[ -d "$venv/Scripts" ]] && python="$venv/Scripts/python.exe"
    return 0
}

# install EXTRAS: lamina, editable, with these extras. Nothing is fetched when the environment has
# them already, so a second run needs no network; a change of pyproject.toml installs anew.
install() {
    local extras="$1" stamp
    stamp="$venv/installed-$extras"
    local wanted
    wanted="$root $(cksum < pyproject.toml) $("$python" --version)"
    if [[ -f "$stamp" && "$(cat "$stamp")" == "$wanted" ]]; then
        return
    fi
    say "installing lamina[$extras]"
    "$python" -m pip install --quiet --editable ".[$extras]" </dev/null \
        || die "pip could not install lamina[$extras]: its message is above"
    printf '%s' "$wanted" > "$stamp"
}

# True when CuPy computes on a device with this interpreter: an element and a matrix product.
cupy_works() {
    "$1" -c 'import cupy; a = cupy.ones((2, 2)); assert float((a @ a).sum()) == 8' \
        >/dev/null 2>&1 </dev/null
}

# One answer of the diagnosis of CUDA, by its key.
ask() { "$python" -c "from lamina.backend import diagnose; print(diagnose.report()['cuda']['$1'] or '')"; }

# install_cupy EXTRAS: the CuPy that suits the driver, beside these extras, which are there already.
install_cupy() {
    local extra
    extra="$(ask extra)"
    [[ -n "$extra" ]] || die "no CUDA device: $(ask problem). This needs an NVIDIA GPU with its driver"
    install "$1,$extra"
    # The wheel brings no CUDA libraries; where the system has none, fetch those as well.
    if [[ "$(ask remedy)" == *"[ctk]"* ]]; then
        say "installing CUDA's libraries"
        "$python" -m pip install --quiet "cupy-${extra}x[ctk]" </dev/null
    fi
}
