#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes a Debian 12 root image, for the tests and for users:
#   tools/debian.sh OUTPUT.erofs && ./lucid run --rootfs OUTPUT.erofs
#   tools/debian.sh OUTPUT.erofs PACKAGES: with the packages named in that file besides, and
#                   the source of zlib in /usr/src/macro, for bench/macro
#
# The packages come from the Debian archives that this machine uses itself. root is not
# needed where users may make user namespaces (uidmap). The image is kept in the user's
# cache under a hash of this script, so that another checkout gets it in no time.
set -euo pipefail

packages=(bc ca-certificates curl e2fsprogs file gcc gdb git iproute2 iputils-ping less
	libc6-dev make perl procps psmisc python3 redis-server redis-tools sqlite3 strace
	stress-ng vim-tiny xz-utils zstd)
[ $# -lt 2 ] || mapfile -t -O ${#packages[@]} packages < <(grep -v '^#' "$2")
# Nobody reads these in a test machine.
dropped=(/usr/share/doc/\* /usr/share/info/\* /usr/share/locale/\* /usr/share/man/\*)

out=$1
sources=${2:-}
# Runs outside of the root, whose path is its argument, with apt's eyes on it.
# shellcheck disable=SC2016
get_zlib='mkdir -p "$1/usr/src/macro" && cd "$1/usr/src/macro" &&
	APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -q source --download-only zlib &&
	mv zlib_*.orig.tar.* zlib.tar && rm -f zlib_*'
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lucid/debian
tmp=$cache/tmp
image=$cache/${2:+macro-}$(cat "$0" ${2:+"$2"} | sha256sum | cut -c 1-32).erofs

die() {
	if [ "$(df --output=avail -BM "$cache" | tail -n 1 | tr -dc 0-9)" -lt 64 ]; then
		echo "lucid: no space left in $cache; free 4 GiB there or set XDG_CACHE_HOME" >&2
	else
		echo "lucid: $*" >&2
	fi
	exit 1
}

# The lines of a sources.list for the Debian 12 archives that apt knows here.
archives() {
	apt-get indextargets --format '$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(COMPONENT)' \
		'Created-By: Packages' 2>/dev/null | sort -u |
		while IFS='|' read -r origin codename uri component; do
			case $origin:$codename in
			Debian:bookworm | Debian:bookworm-security | Debian:bookworm-updates)
				echo "deb $uri $codename $component"
				# What is older than a point release is not among its updates any more.
				[ -z "$sources" ] || [ "$codename" != bookworm ] ||
					echo "deb-src $uri $codename $component"
				;;
			esac
		done
}

make_image() {
	local option=() archive=() pattern
	rm -rf "$tmp"
	mkdir "$tmp"
	trap 'rm -rf "$tmp"' EXIT
	for pattern in "${dropped[@]}"; do
		option+=(--dpkgopt="path-exclude=$pattern")
	done
	[ -z "$sources" ] || option+=(--customize-hook="$get_zlib")
	echo "making a Debian 12 root (once; some minutes)"
	archives >"$tmp/sources"
	# Without archives of its own mmdebstrap knows where Debian's are.
	[ ! -s "$tmp/sources" ] || archive=("$tmp/sources")
	mmdebstrap --quiet --variant=minbase --format=tar "${option[@]}" \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--include="$(IFS=, && echo "${packages[*]}")" \
		--customize-hook='echo lucid >"$1/etc/hostname"' \
		bookworm "$tmp/root.tar" "${archive[@]}" >"$tmp/log" 2>&1 ||
		{ tail -n 5 "$tmp/log" >&2 && die "cannot make a Debian root; see above, then try again"; }
	mkdir "$tmp/root"
	# fakeroot keeps owners and device nodes without privileges.
	fakeroot -- sh -c 'tar -xpf "$1/root.tar" -C "$1/root" --numeric-owner --same-owner &&
		rm "$1/root.tar" && mkfs.erofs --quiet "$1/root.erofs" "$1/root"' sh "$tmp" \
		>"$tmp/log" 2>&1 ||
		die "cannot make $image: $(tail -n 1 "$tmp/log"); try again"
	sync "$tmp/root.erofs"
	mv "$tmp/root.erofs" "$image"
	# Those of older scripts.
	find "$cache" -name "${sources:+macro-}????????????????????????????????.erofs" \
		! -samefile "$image" -delete
}

if ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
	echo "lucid: cannot write to $cache; set XDG_CACHE_HOME to a folder of yours" >&2
	exit 1
fi
exec 9>"$cache/lock"
flock 9
[ -e "$image" ] || make_image
if [ ! "$out" -ef "$image" ]; then
	mkdir -p "$(dirname "$out")"
	# One file under two names where that is possible.
	ln -f "$image" "$out" 2>/dev/null || { [ "$out" -nt "$image" ] || cp "$image" "$out"; }
fi
