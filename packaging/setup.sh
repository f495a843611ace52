# Sourced by run.sh and test.sh: makes .venv and what it needs; does nothing when all of it is there.
#
#   setup_root   the checkout (set before sourcing)
#   setup NAME EXTRAS    NAME is the name of the stamp, EXTRAS as pip writes them: "" or "[test,dev]"
#
# Afterwards $venv_python is the interpreter to use. Which index pip asks is pip's own configuration.

venv=$setup_root/.venv
venv_python=$venv/bin/python

say() { printf '%s\n' "gradsim: $*" >&2; }
die() { say "$*"; exit 1; }

good_python() {
    # A version manager's shim exists without the interpreter behind it, so running it is the only test.
    "$1" -c 'import sys; sys.exit(not sys.version_info >= (3, 11))' >/dev/null 2>&1 </dev/null
}

find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.11 python3.12 python3.13 python3.14 python; do
        if good_python "$candidate"; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

has_apt() { command -v apt-get >/dev/null 2>&1; }

apt_install() {
    # In: package names. As root they are installed, otherwise the line to type is printed.
    if [ "$(id -u)" -ne 0 ]; then
        say "system packages are missing; install them with this line, then start again:"
        printf '    sudo apt-get install -y --no-install-recommends %s\n' "$*" >&2
        return 1
    fi
    say "installing system packages: $*"
    if ! { DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
           DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >&2 </dev/null
    then
        say "this did not succeed: apt-get install -y --no-install-recommends $*"
        return 1
    fi
}

need_python() {
    base_python=$(find_python) && return 0
    if has_apt && apt_install python3 python3-venv; then
        base_python=$(find_python) && return 0
    fi
    found=$(python3 --version 2>&1 </dev/null) || found="no python3"
    die "Python 3.11 or newer is needed; found: $found. Install one, or name it: PYTHON=/path/to/python3.11 sh $0"
}

make_venv() {
    if [ -e "$venv" ] && ! good_python "$venv_python"; then
        say "the interpreter of .venv is gone or too old: making it again"
        rm -rf "$venv"
    fi
    if [ ! -e "$venv" ]; then
        need_python
        if ! "$base_python" -c 'import ensurepip, venv' >/dev/null 2>&1 </dev/null; then
            # Debian and Ubuntu keep these two modules in a package of their own.
            version=$("$base_python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
            has_apt && apt_install "python$version-venv" ||
                die "$base_python cannot make virtual environments (its modules venv and ensurepip are missing)"
        fi
        say "making .venv with $base_python"
        if ! "$base_python" -m venv "$venv" >&2 </dev/null; then
            rm -rf "$venv"
            die "$base_python could not make $venv"
        fi
    fi
}

missing_libraries() {
    # Out: the packages whose library cannot be loaded. Asking the loader holds on every distribution and release.
    "$venv_python" - <<'PYTHON'
import ctypes
import sys

LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-shape.so.0": "libxcb-shape0",
}


def loads(name):
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


if sys.platform == "linux":
    print(" ".join(package for library, package in LIBRARIES.items() if not loads(library)))
PYTHON
}

need_libraries() {
    missing=$(missing_libraries) || return 1
    [ -z "$missing" ] && return 0
    if ! has_apt; then
        say "Qt needs system libraries that are missing; on Debian they are called: $missing"
        return 1
    fi
    # Package names are meant to be split.
    # shellcheck disable=SC2086
    apt_install $missing || return 1
    [ -z "$(missing_libraries)" ]
}

fingerprint() {
    # The place is part of it because an installation from a checkout, and the scripts of a .venv, hold its path.
    { cat "$setup_root/pyproject.toml" "$setup_root/constraints.txt" "$setup_root/packaging/setup.sh"
      printf '%s\n' "$setup_root"
      "$venv_python" --version
    } 2>&1 | cksum
}

up_to_date() {
    [ -f "$1" ] && good_python "$venv_python" && [ "$(cat "$1")" = "$(fingerprint)" ]
}

setup() {
    stamp=$venv/gradsim-$1.stamp
    # What the tests need includes what a run needs.
    if up_to_date "$stamp" || up_to_date "$venv/gradsim-test.stamp"; then
        return 0
    fi
    make_venv
    libraries_complete=yes
    need_libraries || libraries_complete=no
    say "installing the Python packages into .venv (the first time this takes a while and about 1 GB)"
    # The build backend is asked for by name and version range in pyproject.toml, everything else is pinned.
    "$venv_python" -m pip --disable-pip-version-check install --quiet \
        --constraint "$setup_root/constraints.txt" --editable "$setup_root$2" >&2 </dev/null ||
        die "pip could not install the packages; its own message is above"
    if [ "$libraries_complete" = no ]; then
        [ "$1" = run ] || die "the tests of the window need the system packages named above"
        say "going on without them: the window will not open, the commands (gradsim run, list, show) do not need it"
    fi
    fingerprint > "$stamp"
}
