#!/bin/sh
# Make a folder that holds Debian trixie with Blender 4.3 and a virtual screen (1.6 GB), for tests/gui.
# Usage, as root: make_chroot.sh FOLDER. The packages come from where this machine has its own, or from
# $THREEDIMO_DEBIAN_MIRROR.
set -eu

folder=$1
packages="blender python3-numpy xvfb x11-apps imagemagick libgl1-mesa-dri libegl-mesa0 libglx-mesa0 libegl1 libgl1"

if [ "$(id -u)" != 0 ]; then
	echo "Making the folder of Blender's window needs root (debootstrap, chroot): sudo make gui-test" >&2
	exit 1
fi
if ! command -v debootstrap >/dev/null; then
	echo "debootstrap is missing; on Debian and Ubuntu: apt-get install debootstrap" >&2
	exit 1
fi

mirror=${THREEDIMO_DEBIAN_MIRROR:-$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null \
	| grep -v '^ *#' | grep -o -m1 'https\{0,1\}://[^ ]*/debian/\{0,1\}\( \|$\)' | tr -d ' ' || true)}

# A run that was broken off leaves an unfinished folder: begin anew.
rm -rf --one-file-system "$folder.unfinished"
mkdir -p "$(dirname "$folder")"
echo "Making Debian with Blender's window in $folder (1.6 GB, some minutes)"
# Without a mirror debootstrap asks its own.
debootstrap --variant=minbase trixie "$folder.unfinished" $mirror >"$folder.log" 2>&1 \
	|| { tail -20 "$folder.log" >&2; exit 1; }
# Proxies and the like, as on this machine.
apt-config dump | grep -E '^Acquire::(http|https|ftp|Check)' >"$folder.unfinished/etc/apt/apt.conf.d/90host" || true
cp /etc/resolv.conf /etc/hosts "$folder.unfinished/etc/"
chroot "$folder.unfinished" sh -c "apt-get update && DEBIAN_FRONTEND=noninteractive \
	apt-get install --yes --no-install-recommends $packages && apt-get clean" >>"$folder.log" 2>&1 \
	|| { tail -20 "$folder.log" >&2; exit 1; }
rm -rf --one-file-system "$folder"
mv "$folder.unfinished" "$folder"
