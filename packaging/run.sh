#!/bin/sh
# Starts gradsim; sets everything up the first time. The arguments are gradsim's own: sh packaging/run.sh list
set -eu
setup_root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$setup_root/packaging/setup.sh"
setup run ""
exec "$venv/bin/gradsim" "$@"
