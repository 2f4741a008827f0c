#!/bin/sh
# Blender as a Python module links some desktop libraries even without a window. Install them where that is
# possible, say what to do where it is not.
set -eu

[ "$(uname -s)" = Linux ] || exit 0

missing=""
for pair in libX11.so.6:libx11-6 libXrender.so.1:libxrender1 libXfixes.so.3:libxfixes3 libXi.so.6:libxi6 \
    libxkbcommon.so.0:libxkbcommon0 libSM.so.6:libsm6 libICE.so.6:libice6 libGL.so.1:libgl1; do
    ldconfig -p 2>/dev/null | grep -q "${pair%%:*}" || /sbin/ldconfig -p 2>/dev/null | grep -q "${pair%%:*}" \
        || missing="$missing ${pair##*:}"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing the system libraries that Blender links:$missing"
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "Blender needs system libraries that are not here:$missing" >&2
    echo "On Debian or Ubuntu: sudo apt-get install$missing" >&2
    exit 1
fi
