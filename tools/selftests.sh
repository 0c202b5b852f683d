#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds those of the kernel's own tests (tools/testing/selftests) that test/selftests/list names,
# from the source of the guest kernel, and runs them on the guest's Debian root:
#   tools/selftests.sh build FOLDER          builds them into FOLDER
#   tools/selftests.sh run FOLDER [TEST...]  and runs them: test/selftests/run tells the rest
#
# What is built is kept in the user's cache under a hash of all that goes into it, as kernels are.
set -euo pipefail
cd "$(dirname "$0")/.."

verb=$1
out=$2
shift 2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lucid/selftests
kernels=${XDG_CACHE_HOME:-$HOME/.cache}/lucid/kernel
list=test/selftests/list

die() {
	echo "lucid: $*" >&2
	exit 1
}

# make's own variables would reach into the build of the tests.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES V O

# The archive that tools/kernel.sh built the kernel of.
tarball=${LINUX_TARBALL:-/usr/src/linux-source-6.12.tar.xz}
[ -r "$tarball" ] ||
	tarball=$(find "$kernels" -maxdepth 1 -name 'linux-source-6.12_*.tar.xz' | sort -V | tail -n 1)
[ -r "$tarball" ] || die "there is no source of the guest kernel; call make kernel"

# The names of the list, COLLECTION:PROGRAM, a line each.
mapfile -t names < <(sed -n 's/^\([a-zA-Z][^ |]*:[^ |]*\).*/\1/p' "$list")
hash=$({
	sed '/^verb=/,/^shift/d' "$0"
	printf '%s\n' "${names[@]}"
	gcc --version | head -n 1
	stat -L -c '%s %n' "$tarball"
} | sha256sum | cut -c 1-32)

unpack() {
	local top error
	top=$(tar -tf "$tarball" 2>/dev/null | head -n 1 | cut -d / -f 1) || true
	[ -n "$top" ] || die "$tarball is not a source archive; get it again"
	# What headers and tests are made of.
	error=$(tar -xf "$tarball" -C "$tmp" --strip-components=1 --no-same-owner \
		"$top"/{Makefile,Kbuild,scripts,include,arch/x86} "$top"/tools/{include,scripts,arch/x86} \
		"$top"/tools/testing/selftests "$top"/mm/gup_test.h "$top"/lib/test_hmm_uapi.h 2>&1) ||
		die "cannot unpack $tarball: ${error%%$'\n'*}; get it again"
}

# Each folder has a makefile for all of its programs; what the list does not name is not built.
build() {
	local name folder goals
	tmp=$cache/tmp
	tests=$tmp/tools/testing/selftests
	rm -rf "$tmp"
	mkdir "$tmp"
	trap 'rm -rf "$tmp"' EXIT
	SECONDS=0
	echo "building the kernel's tests (once; two minutes)"
	unpack
	make -s -C "$tmp" ARCH=x86 headers >"$cache/log" 2>&1 ||
		die "cannot make the kernel's headers; $cache/log has it all"
	for folder in $(dirname "${names[@]/://}" | sort -u); do
		goals=()
		for name in "${names[@]/://}"; do
			# What is there already is a script.
			[ "${name%/*}" != "$folder" ] || [ -e "$tests/$name" ] || goals+=("$tests/$name")
		done
		# They need what the makefile makes beside them.
		case $folder in capabilities | exec | landlock | mount) goals=(all) ;; esac
		[ ${#goals[@]} -eq 0 ] ||
			make -s -k -j"$(nproc)" -C "$tests/$folder" ARCH=x86 OUTPUT="$tests/$folder" \
				KHDR_INCLUDES="-isystem $tmp/usr/include" "${goals[@]}" >>"$cache/log" 2>&1 ||
			die "cannot build $folder; $cache/log has it all"
	done
	store
	echo "built the kernel's tests in $SECONDS s"
}

# Programs without symbols, scripts, and the libraries that the guest may not have.
store() {
	local collection library done=$tmp/done
	mkdir -p "$done/lib"
	for collection in $(printf '%s\n' "${names[@]%%:*}" | sort -u); do
		mkdir -p "$done/$collection"
		find "$tests/$collection" -mindepth 1 ! -name '*.[chSo]' ! -name '*static*' ! -name config \
			! -name '*.mk' -prune -exec cp -a -t "$done/$collection" {} +
	done
	find "$done" -type f -perm -1 -exec strip -g {} + 2>/dev/null || true
	for library in libcap.so.2 libcap-ng.so.0 liburing.so.2; do
		cp -L "$(gcc -print-file-name="$library")" "$done/lib" 2>/dev/null ||
			cp -L "/lib/x86_64-linux-gnu/$library" "$done/lib"
	done
	sync -f "$done"
	rm -rf "${cache:?}"/????????????????????????????????
	mv "$done" "$cache/$hash"
}

if ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
	die "cannot write to $cache; set XDG_CACHE_HOME to a folder of yours"
fi
exec 9>"$cache/lock"
flock 9
[ -d "$cache/$hash" ] || build
if [ "$(cat "$out/hash" 2>/dev/null)" != "$hash" ]; then
	rm -rf "$out"
	cp -a "$cache/$hash" "$out"
	echo "$hash" >"$out/hash"
fi
exec 9>&-
[ "$verb" = build ] || SELFTESTS=$out LUCID=${LUCID:-./lucid} DEBIAN=${DEBIAN:-build/debian.erofs} \
	exec test/selftests/run "$@"
