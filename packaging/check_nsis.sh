#!/bin/sh
# Tries the installer for Windows with a stand-in for the program: sh packaging/check_nsis.sh
#
# Needs makensis (Debian: nsis) and Wine for 64 bits (Debian: wine64). Installs over an older version, looks at files,
# shortcut and registry, uninstalls, and looks for what is left. The program itself is not run: Wine lacks what it needs.
set -eu
setup_root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$setup_root/packaging/setup.sh"
wine=
for candidate in wine64 wine /usr/lib/wine/wine64; do
    command -v "$candidate" >/dev/null 2>&1 && { wine=$candidate; break; }
done
command -v makensis >/dev/null 2>&1 && [ -n "$wine" ] || die "makensis or Wine is missing: apt-get install nsis wine64"
work=$(mktemp -d)
WINEPREFIX=$work/wine
WINEARCH=win64
WINEDEBUG=-all
# Without a display Wine has no windows, which /S does not open; without these two it asks for downloads.
WINEDLLOVERRIDES='mscoree,mshtml='
export WINEPREFIX WINEARCH WINEDEBUG WINEDLLOVERRIDES
unset DISPLAY WAYLAND_DISPLAY
leave() {
    wineserver -k 2>/dev/null || true
    rm -rf "$work"
}
trap leave EXIT
trap 'exit 1' HUP INT TERM

run() { timeout 300 "$wine" "$@" >"$work/log" 2>&1 </dev/null || { cat "$work/log" >&2; die "did not succeed: $*"; }; }
uninstall() {
    # It goes on in a copy of itself, which ends with everything else that runs in this Wine.
    run "$folder/uninstall.exe" /S
    timeout 120 wineserver -w
}
value() {
    # In: key, name ("" is the unnamed one). Out: what the registry holds there, nothing if there is none.
    if [ -n "$2" ]; then
        timeout 60 "$wine" reg query "$1" /v "$2" 2>/dev/null
    else
        timeout 60 "$wine" reg query "$1" /ve 2>/dev/null
    fi </dev/null | tr -d '\r' | sed -n 's/.*REG_[A-Z]* *//p'
}
equal() { [ "$2" = "$3" ] || die "$1 is '$2' and should be '$3'"; }
absent() { [ ! -e "$1" ] || die "is still there: $1"; }

installer() {
    # In: version, what only this version has. Out: a setup.exe for 64 bits, which a Wine without its other half runs.
    tree=$work/tree-$1
    mkdir -p "$tree/_internal/deep/er" "$tree/licences"
    cp /usr/share/nsis/Stubs/uninst "$tree/gradsim.exe" 2>/dev/null || echo stand-in > "$tree/gradsim.exe"
    cp "$tree/gradsim.exe" "$tree/gradsim-window.exe"
    echo "gradsim $1" > "$tree/VERSIONS"
    echo text > "$tree/licences/gradsim.txt"
    echo data > "$tree/_internal/deep/er/$2"
    makensis -V2 -WX -XTarget\ amd64-unicode "-DVERSION=$1" "-DTREE=$tree" "-DOUT=$work/setup-$1.exe" \
        "$setup_root/packaging/windows/gradsim.nsi" >&2
}

say "two installers"
installer 0.0.1 only-in-the-old-one
installer 0.0.2 only-in-the-new-one

say "an empty Windows"
run wineboot --init
wineserver -w
home=$WINEPREFIX/drive_c/users/$(id -un)
folder=$home/AppData/Local/Programs/gradsim
menu="$home/AppData/Roaming/Microsoft/Windows/Start Menu/Programs/gradsim.lnk"
classes='HKCU\Software\Classes'
entry='HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\gradsim'

say "installed, silently and for one user"
run "$work/setup-0.0.1.exe" /S
[ -f "$folder/_internal/deep/er/only-in-the-old-one" ] || die "nothing was installed into $folder"
[ -f "$menu" ] || die "the start menu has no entry"
equal "the kind of .gradsim files" "$(value "$classes\\.gradsim" '')" gradsim.experiment
command=$(value "$classes\\gradsim.experiment\\shell\\open\\command" '')
case $command in *'gradsim-window.exe" open "%1"') ;; *) die "a double-click would run: $command" ;; esac
equal "the version in the list of programs" "$(value "$entry" DisplayVersion)" 0.0.1

say "another version over it"
echo mine > "$folder/mine.txt"
run "$work/setup-0.0.2.exe" /S
absent "$folder/_internal/deep/er/only-in-the-old-one"
[ -f "$folder/_internal/deep/er/only-in-the-new-one" ] || die "the new version was not installed"
equal "the version in the list of programs" "$(value "$entry" DisplayVersion)" 0.0.2

say "uninstalled; what the user put there stays"
uninstall
equal "what is left in the folder" "$(ls "$folder")" mine.txt
absent "$menu"
for key in "$classes\\.gradsim" "$classes\\gradsim.experiment" "$entry" 'HKCU\Software\gradsim'; do
    ! timeout 60 "$wine" reg query "$key" >/dev/null 2>&1 </dev/null || die "is still in the registry: $key"
done

say "uninstalled from an untouched folder"
rm "$folder/mine.txt"
run "$work/setup-0.0.2.exe" /S
uninstall
absent "$folder"
say "passed"
