#!/bin/sh
# Runs the frozen program on processors of several ages: sh packaging/check_processors.sh [TREE]
#
# Needs qemu-user (Debian: qemu-user). Each level of kernels passes the self-test on this processor; then the program
# starts, takes the right level and trains on an emulated one that has no more, without a home to compile into.
set -eu
setup_root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$setup_root/packaging/setup.sh"
tree=$(realpath "${1:-$setup_root/dist/gradsim}")
command -v qemu-x86_64 >/dev/null 2>&1 || die "qemu-x86_64 is missing: apt-get install qemu-user"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# Both are for older versions of BLAS than the one in the tree.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE

emulated() {
    # In: processor, then arguments. The program starts itself anew to have its libraries found, and that process would
    # run on the real processor: these variables tell it that it is the second one.
    processor=$1
    shift
    env HOME=/proc/nowhere LD_LIBRARY_PATH="$tree/_internal" _PYI_ARCHIVE_FILE="$tree/gradsim" \
        _PYI_PARENT_PROCESS_LEVEL=-1 _PYI_LINUX_PROCESS_NAME=gradsim \
        qemu-x86_64 -cpu "$processor" "$tree/gradsim" "$@" 2>"$work/log" ||
        { grep -v "TCG doesn't support" "$work/log" >&2; return 1; }
}
last_loss() { sed -n 's/.* \([0-9.]*\) at last.*/\1/p'; }

cd "$work"
own=$("$tree/gradsim" run small-xor --steps 5 --no-progress | last_loss)
[ -n "$own" ] || die "the program does not train here"
for level in x86-64-v2 x86-64-v3 x86-64-v4; do
    # Without AVX-512 this processor can't run the last one.
    case $level in x86-64-v4) grep -q avx512vl /proc/cpuinfo || continue ;; esac
    say "self-test with the kernels for $level"
    NUMBA_CPU_NAME=$level HOME=/proc/nowhere "$tree/gradsim" --selftest > selftest || { cat selftest; exit 1; }
    grep "shipped for $level" selftest
done
for pair in Nehalem:x86-64-v2 Haswell:x86-64-v3; do
    processor=${pair%:*} level=${pair#*:}
    say "a $processor"
    # In an emulator /proc/cpuinfo, by which old processors are known, is the host's.
    case $processor in Nehalem) export OPENBLAS_CORETYPE=Nehalem ;; *) unset OPENBLAS_CORETYPE ;; esac
    emulated "$processor" doctor > doctor || true
    grep "shipped for $level" doctor || { cat doctor; die "took other kernels"; }
    loss=$(emulated "$processor" run small-xor --steps 5 --threads 1 --no-progress | last_loss)
    [ "$loss" = "$own" ] || die "the last loss is $loss and should be $own"
done
say "passed"
