#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes sure that the Debian packages for a purpose are there: build, kernel, test or lint.
# root gets them installed; anyone else is told the one command to run.
set -euo pipefail

declare -A packages=(
	[build]="gcc libc6-dev make liburing-dev libseccomp-dev libjansson-dev libhttp-parser-dev busybox-static
		erofs-utils fakeroot tar gzip zstd passt"
	[kernel]="gcc libc6-dev make flex bison bc libelf-dev patch xz-utils"
	[test]="libcmocka-dev clang libclang-rt-dev e2fsprogs mmdebstrap util-linux procps iproute2
		python3 python3-jsonschema python3-yaml qemu-system-common qemu-utils"
	[selftests]="libcap-dev libcap-ng-dev liburing-dev rsync xz-utils trinity"
	[bench]="gnuplot-nox mmdebstrap fakeroot erofs-utils util-linux"
	[lint]="clang-format clang-tidy cppcheck shellcheck"
)

missing=()
for group in "$@"; do
	for package in ${packages[$group]}; do
		state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || true
		[ "$state" = installed ] || missing+=("$package")
	done
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "lucid: this is not Debian; Lucid needs what Debian calls ${missing[*]}" >&2
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "lucid: packages are missing; run: sudo apt-get install -y ${missing[*]}" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "installing ${missing[*]}"
install=(apt-get install -y -q --no-install-recommends "${missing[@]}")
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A fresh machine has no package lists yet, an old one stale lists.
"${install[@]}" >"$log" 2>&1 || { apt-get update -q && "${install[@]}"; } >"$log" 2>&1 || {
	tail -n 5 "$log" >&2
	echo "lucid: cannot install packages; run: apt-get install -y ${missing[*]}" >&2
	exit 1
}
