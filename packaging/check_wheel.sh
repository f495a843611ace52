#!/bin/sh
# Checks that the wheel, installed in an empty environment away from the checkout, passes the self-test.
set -eu
setup_root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$setup_root/packaging/setup.sh"
need_python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
"$base_python" -m venv "$work/venv"
# One process builds the wheel and installs it, so that nothing but the wheel gets there.
"$work/venv/bin/python" -m pip --disable-pip-version-check wheel --quiet --no-deps --wheel-dir "$work" "$setup_root" \
    </dev/null
"$work/venv/bin/python" -m pip --disable-pip-version-check install --quiet \
    --constraint "$setup_root/constraints.txt" "$work"/gradsim-*.whl </dev/null
cd "$work"
"$work/venv/bin/gradsim" --selftest
