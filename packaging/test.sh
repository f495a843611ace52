#!/bin/sh
# Runs the whole test suite, the slow tests included; sets everything up the first time.
# The arguments are pytest's own: sh packaging/test.sh tests/unit/data -x
set -eu
setup_root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$setup_root/packaging/setup.sh"
setup test "[test,dev]"
cd "$setup_root"
# A process per core, each with whole files; with arguments of one's own it is plain pytest.
[ $# -gt 0 ] || set -- --numprocesses auto --dist loadfile
exec "$venv_python" -m pytest -m "" "$@"
