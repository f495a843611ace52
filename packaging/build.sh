#!/bin/sh
# Makes everything that is handed out on Debian and Ubuntu: sh packaging/build.sh [--tree]
#
# --tree ends when the folder has passed its self-test.
#
#   dist/gradsim/                  the program as a folder, with its licences and versions inside
#   dist/gradsim_VERSION_ARCH.deb
#   dist/gradsim-VERSION-linux-ARCH.tar.xz
#   dist/SHA256SUMS
#
# VENV=/path names an environment that has all packages; otherwise build/venv is made. PICTURES=https://... is where the
# screenshots can be had on the web, for software centres; without it they come with the package.
set -eu
setup_root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$setup_root/packaging/setup.sh"
cd "$setup_root"
[ "$(uname -s)" = Linux ] || die "this script builds for Linux; packaging/README.md says how it is done elsewhere"

given=${VENV:-}
venv=${VENV:-$setup_root/build/venv}
venv_python=$venv/bin/python
if [ -z "$given" ]; then
    mkdir -p build
    make_venv
    "$venv_python" -m pip --disable-pip-version-check install --quiet --constraint constraints.txt ".[bundle]" \
        >&2 </dev/null || die "pip could not install the packages; its own message is above"
fi
# PyInstaller leaves out what it does not find, and says so nowhere but in its log.
need_libraries || die "Qt needs the system packages named above, or the bundle would lack them"
for tool in strip xz; do
    command -v "$tool" >/dev/null 2>&1 || { has_apt && apt_install binutils xz-utils; } || die "$tool is missing"
done
command -v dpkg-deb >/dev/null 2>&1 || die "dpkg-deb is missing: this script builds on Debian and Ubuntu"
# Debian keeps Python's own library, which goes into the tree, in a package of its own.
library=$("$venv_python" -c 'import sysconfig; print(sysconfig.get_config_var("INSTSONAME"))')
if ! "$venv_python" -c "import ctypes; ctypes.CDLL('$library')" 2>/dev/null; then
    { has_apt && apt_install "lib$("$venv_python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')"; } ||
        die "Python's own library $library is missing"
fi

version=$("$venv_python" -c 'import gradsim; print(gradsim.__version__)')
arch=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
export SOURCE_DATE_EPOCH
day=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)

say "kernels"
"$venv_python" packaging/make_kernels.py build/kernels
say "icons"
"$venv_python" packaging/make_icons.py build/icons
say "the tree"
"$venv_python" -m PyInstaller --noconfirm --log-level WARN --distpath dist --workpath build/pyinstaller \
    packaging/bundle/gradsim.spec
# Not by PyInstaller: libraries in *.libs were rewritten for their wheels in a way that strip breaks.
find dist/gradsim/_internal -type f -name '*.so*' ! -path '*.libs/*' -exec strip --strip-unneeded {} +
"$venv_python" packaging/make_licences.py dist/gradsim
say "checking the tree"
dist/gradsim/gradsim --selftest
[ "${1:-}" != --tree ] || exit 0

say "the .deb"
root=build/deb
rm -rf "$root"
mkdir -p "$root/DEBIAN" "$root/usr/bin" "$root/usr/lib" "$root/usr/share/doc/gradsim" "$root/usr/share/man/man1" \
    "$root/usr/share/applications" "$root/usr/share/mime/packages" \
    "$root/usr/share/icons/hicolor/scalable/apps"
cp -a dist/gradsim "$root/usr/lib/gradsim"
ln -s ../lib/gradsim/gradsim "$root/usr/bin/gradsim"
fill() { sed -e "s/@VERSION@/$version/g" -e "s/@DATE@/$day/g" "$1"; }
fill packaging/linux/gradsim.desktop > "$root/usr/share/applications/gradsim.desktop"
# Unquoted: without an address there is no argument.
# shellcheck disable=SC2086
"$venv_python" packaging/make_appstream.py "$root" "$version" "$day" ${PICTURES:-}
fill packaging/linux/gradsim.mime.xml > "$root/usr/share/mime/packages/gradsim.xml"
fill packaging/linux/gradsim.1 | gzip -9n > "$root/usr/share/man/man1/gradsim.1.gz"
cp resources/icons/gradsim.svg "$root/usr/share/icons/hicolor/scalable/apps/gradsim.svg"
for size in 16 22 24 32 48 64 128 256 512; do
    mkdir -p "$root/usr/share/icons/hicolor/${size}x$size/apps"
    cp "build/icons/gradsim-$size.png" "$root/usr/share/icons/hicolor/${size}x$size/apps/gradsim.png"
done
{ printf 'gradsim\n\n'; cat LICENSE; printf '\nEverything else that the package contains: see /usr/lib/gradsim/VERSIONS and licences/ beside it.\n'
} > "$root/usr/share/doc/gradsim/copyright"
installed=$(du -sk "$root/usr" | cut -f1)
cat > "$root/DEBIAN/control" <<CONTROL
Package: gradsim
Version: $version
Architecture: $arch
Maintainer: gradsim contributors <gradsim@localhost>
Installed-Size: $installed
Section: education
Priority: optional
Depends: libc6 (>= 2.35), libstdc++6, libgcc-s1, libgl1, libegl1, libx11-6, libxcb1, libxcb-icccm4, libxcb-keysyms1, libxau6, libxdmcp6, libdbus-1-3, libfontconfig1, libfreetype6, libglib2.0-0 | libglib2.0-0t64, libexpat1
Recommends: fonts-dejavu-core, shared-mime-info, desktop-file-utils, hicolor-icon-theme
Description: see layer by layer why a deep network stops learning
 Build a deep network, press play, and see how large the gradient is in every
 layer: where it vanishes, where it explodes, and what the usual remedies do
 about it. For teaching, and for finding out why a stack does not learn.
CONTROL
find "$root" -type d -exec chmod 755 {} +
find "$root/usr/share" -type f -exec chmod 644 {} +
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
deb=dist/gradsim_${version}_$arch.deb
# As dpkg-deb --build does it, which does not know the filter for machine code: it makes the package 5 % smaller, and
# every dpkg can read it.
packed() { tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --create "$@"; }
# The filter knows the jumps of one architecture.
case $(uname -m) in x86_64) filter=--x86 ;; *) filter= ;; esac
# shellcheck disable=SC2086
packed --directory "$root" --exclude=./DEBIAN . | xz -T0 $filter --lzma2=preset=9 > build/data.tar.xz
packed --directory "$root/DEBIAN" . | xz > build/control.tar.xz
echo 2.0 > build/debian-binary
rm -f "$deb"
(cd build && ar rcD "../$deb" debian-binary control.tar.xz data.tar.xz)
dpkg-deb --info "$deb" >&2

say "the portable archive"
portable=gradsim-$version-linux-$(uname -m)
# shellcheck disable=SC2086
packed --directory dist --transform "s,^gradsim,$portable," gradsim | xz -T0 $filter --lzma2=preset=9 > "dist/$portable.tar.xz"
(cd dist && sha256sum "${deb#dist/}" "$portable.tar.xz" > SHA256SUMS)

printf '%s: %s MB, %s MB installed\n' "$deb" "$(($(stat -c %s "$deb") / 1000000))" "$((installed * 1024 / 1000000))"
printf '%s: %s MB\n' "dist/$portable.tar.xz" "$(($(stat -c %s "dist/$portable.tar.xz") / 1000000))"
