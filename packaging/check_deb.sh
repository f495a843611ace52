#!/bin/sh
# Installs a .deb in a fresh Debian and uses it there: sh packaging/check_deb.sh NEW.deb [PICTURE.png]
#
# Needs root, debootstrap, Xvfb, xdotool and, for the pictures, ImageMagick: PICTURE.png is the window as it starts,
# PICTURE-opened.png the one with a file that was opened by its type. ROOT=/path names a minimal Debian that is there
# already and is changed; otherwise one is made and deleted. MIRROR is Debian's.
set -eu
setup_root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$setup_root/packaging/setup.sh"
deb=$(realpath "$1")
picture=${2:-}
display=:97
work=$(mktemp -d)
root=${ROOT:-$work/root}
server=

leave() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    for mounted in tmp/.X11-unix dev proc; do umount "$root/$mounted" 2>/dev/null || true; done
    # Something still mounted must not be deleted with it.
    grep -q " $work" /proc/mounts || rm -rf "$work"
}
trap leave EXIT
trap 'exit 1' HUP INT TERM

inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
windowed() { inside DISPLAY="$display" "$@"; }
everything() { inside find / -xdev ! -path '/var/*' ! -path '/tmp/*' ! -path '/root/*' ! -path '/run/*' ! -path '/etc/ld.so.cache' \
    ! -path '/proc' ! -path '/dev' | sort; }
window_of() {
    # In: seconds, then a part of the title. Out: the window's number.
    for _ in $(seq "$1"); do
        found=$(DISPLAY=$display xdotool search --onlyvisible --name "$2" 2>/dev/null | head -n 1) || true
        [ -z "$found" ] || { echo "$found"; return 0; }
        sleep 1
    done
    return 1
}
close_program() {
    # Only what runs inside: the machine may have a gradsim of its own.
    for process in /proc/[0-9]*; do
        case $(readlink "$process/exe" 2>/dev/null) in
            */usr/lib/gradsim/gradsim) [ "$(readlink "$process/root")" != "$root" ] || kill "${process#/proc/}" ;;
        esac
    done
    sleep 2
}

[ -n "${ROOT:-}" ] || { say "a minimal Debian"; debootstrap --variant=minbase bookworm "$root" ${MIRROR:+"$MIRROR"} >&2; }
root=$(realpath "$root")
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
mountpoint -q "$root/dev" || mount --bind /dev "$root/dev"
cp /etc/resolv.conf "$root/etc/resolv.conf"
Xvfb $display -screen 0 1280x800x24 -ac >/dev/null 2>&1 &
server=$!
sleep 2
mkdir -p "$root/tmp/.X11-unix"
mount --bind /tmp/.X11-unix "$root/tmp/.X11-unix"

say "installing, with what it depends on and nothing else"
inside apt-get update -qq
cp "$deb" "$root/tmp/new.deb"
inside apt-get install -y -qq --no-install-recommends /tmp/new.deb >"$work/apt.log" 2>&1 || { cat "$work/apt.log" >&2; exit 1; }

say "the self-test: without a home, from another directory, as a user without rights"
inside sh -c 'cd /usr && exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nowhere gradsim --selftest'
windowed gradsim doctor

say "a library that is missing is named, with what to type"
for hidden in libEGL.so.1:libegl1 libdbus-1.so.3:libdbus-1-3; do
    library=$(find "$root/usr/lib" "$root/lib/" -name "${hidden%:*}" | head -n 1)
    mv "$library" "$library.hidden"
    ! windowed gradsim doctor > "$work/doctor" || die "the doctor misses nothing without ${hidden%:*}"
    ! windowed gradsim > "$work/window" 2>&1 || die "the window opened without ${hidden%:*}"
    mv "$library.hidden" "$library"
    for said in "$work/doctor" "$work/window"; do
        grep -q "apt-get install.* ${hidden#*:}" "$said" || { cat "$said"; die "${hidden#*:} is not named"; }
        ! grep Traceback "$said" || exit 1
    done
done

say "the window opens without a home"
windowed setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nowhere gradsim >"$work/window.log" 2>&1 &
window_of 60 gradsim >/dev/null || { cat "$work/window.log" >&2; die "no window came up"; }
close_program

say "a lesson is trained, and says what this machine shows"
inside gradsim lesson vanishing
inside sh -c 'cd /root && gradsim render vanishing-sigmoid --steps 20 -o run.gif && gradsim handout descent -o lesson.pdf'
grep -q '^%PDF' "$root/root/lesson.pdf" || die "the handout is no PDF"

say "started by its desktop entry"
inside apt-get install -y -qq --no-install-recommends libglib2.0-bin shared-mime-info desktop-file-utils man-db appstream >"$work/apt.log" 2>&1
windowed gio launch /usr/share/applications/gradsim.desktop >"$work/gio.log" 2>&1 &
window_of 60 gradsim >/dev/null || { cat "$work/gio.log" >&2; die "no window came up"; }
sleep 6
[ -z "$picture" ] || DISPLAY=$display import -window root "$picture"
close_program

say "an experiment is opened by its type"
inside cp /usr/lib/gradsim/_internal/gradsim/_resources/experiments/small-xor.gradsim /root/mine.gradsim
inside gio info -a standard::content-type /root/mine.gradsim | grep -q application/x-gradsim || die "the type is not known"
windowed gio open /root/mine.gradsim >/dev/null 2>&1 &
window_of 60 mine.gradsim >/dev/null || die "the file was not opened"
sleep 6
[ -z "$picture" ] || DISPLAY=$display import -window root "${picture%.png}-opened.png"
close_program
inside man -w gradsim >/dev/null

say "a software centre finds it, with pictures that are there"
inside appstreamcli refresh-cache --force >/dev/null
inside appstreamcli dump org.gradsim.gradsim > "$work/component"
grep -q '<project_license>MIT' "$work/component" || die "the catalogue hides the rest of the metainfo"
pictures=$(sed -n 's|.*file://\(/[^<]*\)<.*|\1|p' "$work/component")
[ -n "$pictures" ] || die "there are no screenshots"
for shown in $pictures; do [ -s "$root$shown" ] || die "is missing: $shown"; done

say "nothing was written but below the user's own folders"
written=$(inside find / -xdev -newer /tmp/new.deb -type f \( -path '*gradsim*' -o -path '/root/*' \) \
    ! -path '/root/.cache/gradsim/*' ! -path '/root/.config/gradsim/*' ! -path '/root/.local/state/gradsim/*' \
    ! -path '/proc/*' ! -path '/var/*' ! -path '/usr/*' ! -path '/root/run.gif' ! -path '/root/lesson.pdf' \
    ! -path '/root/mine.gradsim' ! -path '/root/.cache/fontconfig/*' ! -path '/root/.cache/mesa_shader_cache/*')
[ -z "$written" ] || die "was written: $written"

say "upgraded over an older version"
mkdir "$work/old"
dpkg-deb -R "$deb" "$work/old"
sed -i 's/^Version: .*/Version: 0.0.1/' "$work/old/DEBIAN/control"
echo old > "$work/old/usr/lib/gradsim/_internal/only-in-the-old-one"
dpkg-deb -Znone --root-owner-group --build "$work/old" "$root/tmp/old.deb" >/dev/null
rm -rf "$work/old"
inside apt-get remove -y -qq gradsim >/dev/null 2>&1
everything > "$work/before"
inside apt-get install -y -qq --no-install-recommends /tmp/old.deb >/dev/null 2>&1
[ -e "$root/usr/lib/gradsim/_internal/only-in-the-old-one" ]
inside apt-get install -y -qq --no-install-recommends /tmp/new.deb >/dev/null 2>&1
[ ! -e "$root/usr/lib/gradsim/_internal/only-in-the-old-one" ]
inside gradsim --selftest | tail -n 1

say "removed without a trace"
inside apt-get purge -y -qq gradsim >/dev/null 2>&1
everything > "$work/after"
diff "$work/before" "$work/after"
say "passed"
