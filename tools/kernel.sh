#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the guest kernel: Debian's linux-source with the port of guest/linux.
#   tools/kernel.sh OUTPUT [guest/linux or a folder like it]
#
# The result is kept in the user's cache under a hash of all that goes into it, so that
# another checkout gets it in no time. The build tree stays there too: after a change of
# the port only what depends on it is compiled again.
#
# The source is LINUX_TARBALL=path, else what the Debian package has installed, else that
# package, fetched by apt-get download (which needs no root).
set -euo pipefail
cd "$(dirname "$0")/.."

package=linux-source-6.12
out=$1
port=${2:-guest/linux}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lucid/kernel
format=1 # of the cache: counted up when this script builds differently
objects=1078 # in a whole build, about; for the progress bar
need_mib=1500 # for source and build tree

# make's own variables would reach into the kernel's build.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES V O

die() {
	# A full disk is behind many a strange message.
	if [ "$(free_mib)" -lt 64 ]; then
		echo "lucid: no space left in $cache; free $need_mib MiB there or set XDG_CACHE_HOME" >&2
	else
		echo "lucid: $*" >&2
	fi
	exit 1
}

free_mib() {
	df --output=avail -BM "$cache" 2>/dev/null | tail -n 1 | tr -dc 0-9 || echo 999999
}

take_lock() {
	exec 9>"$cache/lock"
	flock -n 9 || { echo "waiting for another build of the guest kernel" && flock 9; }
}

# ---- The source ---------------------------------------------------------------

fetch_package() {
	local dir=$cache/download.tmp deb version
	take_lock
	echo "fetching $package" >&2
	rm -rf "$dir"
	mkdir "$dir"
	(cd "$dir" && apt-get -q -o APT::Sandbox::User= download "$package") >"$dir/log" 2>&1 ||
		{ [ "$(id -u)" -eq 0 ] && apt-get -q update &&
			(cd "$dir" && apt-get -q -o APT::Sandbox::User= download "$package"); } >"$dir/log" 2>&1 ||
		{ rm -rf "$dir" && die "cannot fetch $package; run apt-get update, or set LINUX_TARBALL=path"; }
	deb=$(echo "$dir"/*.deb)
	version=$(dpkg-deb -f "$deb" Version)
	dpkg-deb --fsys-tarfile "$deb" |
		tar -x -C "$dir" --strip-components=3 "./usr/src/$package.tar.xz" ||
		{ rm -rf "$dir" && die "cannot unpack $package; try again"; }
	mv "$dir/$package.tar.xz" "$cache/${package}_$version.tar.xz"
	rm -rf "$dir"
}

# Sets tarball and source_id, which names its content.
find_source() {
	local kept
	if [ -n "${LINUX_TARBALL:-}" ]; then
		tarball=$LINUX_TARBALL
		[ -r "$tarball" ] || die "cannot read $tarball; set LINUX_TARBALL to a Linux 6.12 source archive"
		source_id=$(sha256sum "$tarball" | cut -c 1-16)
		return
	fi
	tarball=/usr/src/$package.tar.xz
	if [ -r "$tarball" ]; then
		source_id=$(dpkg-query -W -f='${Version}' "$package")
		return
	fi
	kept=$(find "$cache" -maxdepth 1 -name "${package}_*.tar.xz" | sort -V | tail -n 1)
	if [ -z "$kept" ]; then
		fetch_package
		kept=$(echo "$cache/${package}"_*.tar.xz)
	fi
	tarball=$kept
	source_id=${kept##*_}
	source_id=${source_id%.tar.xz}
}

# Unpacks what a small x86 kernel may need. Of the rest the Kconfig files and Makefiles stay,
# since configuration reads them all.
unpack() {
	local top dir error exclude=()
	[ "$(free_mib)" -ge $need_mib ] ||
		die "less than $need_mib MiB free in $cache; free some or set XDG_CACHE_HOME"
	echo "unpacking ${tarball##*/}"
	top=$(tar -tf "$tarball" 2>/dev/null | head -n 1 | cut -d / -f 1) || true
	[ -n "$top" ] || die "$tarball is not a source archive; get it again"
	for dir in sound samples drivers/{accel,ata,comedi,crypto,gpu,hid,hwmon,iio,infiniband,isdn} \
		drivers/{media,mmc,mtd,phy,pinctrl,regulator,s390,scsi,soc,spi,staging,usb} \
		drivers/net/{can,dsa,ethernet,usb,wireless,wwan} tools/{perf,testing} \
		arch/{alpha,arc,arm,arm64,csky,hexagon,loongarch,m68k,microblaze,mips,nios2} \
		arch/{openrisc,parisc,powerpc,riscv,s390,sh,sparc,um,xtensa}; do
		exclude+=(--exclude="$top/$dir/*.[chS]" --exclude="$top/$dir/*.json"
			--exclude="$top/$dir/*.dts*")
	done
	rm -rf "$cache"/work-*.tmp
	mkdir "$work.tmp"
	error=$(tar -xf "$tarball" -C "$work.tmp" --strip-components=1 --anchored --no-same-owner \
		--wildcards "${exclude[@]}" --exclude="$top/Documentation/*/*" 2>&1) ||
		{ rm -rf "$work.tmp" && die "cannot unpack $tarball: ${error%%$'\n'*}; get it again"; }
	[ -e "$work.tmp/Kbuild" ] || { rm -rf "$work.tmp" &&
		die "$tarball is not a Linux source archive; set LINUX_TARBALL to one"; }
	# Trees of other versions are not worth their space.
	find "$cache" -maxdepth 1 -name 'work-*' ! -path "$work.tmp" -exec rm -rf {} +
	mkdir "$work"
	mv "$work.tmp" "$work/src"
}

# ---- The port -----------------------------------------------------------------

# The files that patches change, one a line.
patched_files() {
	[ ${#patches[@]} -eq 0 ] || sed -n 's|^+++ b/\([^\t]*\).*|\1|p' "${patches[@]}" | sort -u
}

# Lays the port over the source. Files that do not change keep their time, so that make
# compiles what changed alone; files that the port has let go get their first state back.
# $work/orig holds the first state of every file that the port has ever touched.
lay_port() {
	local next=$work/next file patch
	rm -rf "$next"
	mkdir -p "$next" "$work/orig" "$next/include/abi"
	touch "$work/touched"
	while read -r file; do
		keep_original "$file"
		[ ! -e "$work/orig/$file" ] || install -D -m 644 "$work/orig/$file" "$next/$file"
	done < <(patched_files)
	for patch in "${patches[@]}"; do
		patch -d "$next" -p1 --no-backup-if-mismatch -s -f <"$patch" >"$work/patch.log" 2>&1 ||
			die "${patch##*/} does not apply to Linux $source_id: $(head -n 1 "$work/patch.log"); mend the patch"
	done
	[ ! -d "$port/overlay" ] || cp -rL "$port/overlay/." "$next"
	cp abi/lucid.h "$next/include/abi/lucid.h"
	(cd "$next" && find . -type f -printf '%P\n') | sort >"$work/touch"
	while read -r file; do
		keep_original "$file"
		cmp -s "$next/$file" "$work/src/$file" || install -D -m 644 "$next/$file" "$work/src/$file"
	done <"$work/touch"
	comm -23 "$work/touched" "$work/touch" | while read -r file; do
		if [ -e "$work/orig/$file" ]; then
			cp "$work/orig/$file" "$work/src/$file"
		else
			rm -f "$work/src/$file"
		fi
	done
	mv "$work/touch" "$work/touched"
	rm -rf "$next"
}

# Saves a file of the source before the port touches it for the first time.
keep_original() {
	! grep -qxF -- "$1" "$work/known" 2>/dev/null || return 0
	[ ! -e "$work/src/$1" ] || install -D -m 644 "$work/src/$1" "$work/orig/$1"
	echo "$1" >>"$work/known"
}

configure() {
	local line bad=()
	kmake allnoconfig KCONFIG_ALLCONFIG="$(realpath "$port/config")" >"$work/log" 2>&1 ||
		{ tail -n 20 "$work/log" >&2 && die "cannot configure the guest kernel; see above"; }
	# A line that a dependency overrode would otherwise go unnoticed.
	while read -r line; do
		case $line in
		CONFIG_*=n) ! grep -q "^${line%=n}=" "$work/src/.config" ;;
		CONFIG_*) grep -qxF -- "$line" "$work/src/.config" ;;
		'# CONFIG_'*' is not set')
			line=${line#\# }
			! grep -q "^${line%% *}=" "$work/src/.config"
			;;
		*) true ;;
		esac || bad+=("$line")
	done <"$port/config"
	[ ${#bad[@]} -eq 0 ] ||
		die "$port/config: no effect has $(printf '<%s> ' "${bad[@]}"); mend dependencies"
}

hash_inputs() {
	{
		echo "$format $source_id $(gcc --version | head -n 1)"
		sha256sum <abi/lucid.h
		cd "$port"
		find . -type f -o -type l | LC_ALL=C sort | xargs -r -d '\n' sha256sum
	} | sha256sum | cut -c 1-32
}

# ---- The build ----------------------------------------------------------------

kmake() {
	make -C "$work/src" ARCH=x86 CC=gcc KBUILD_BUILD_USER=lucid KBUILD_BUILD_HOST=lucid \
		KBUILD_BUILD_VERSION=1 KBUILD_BUILD_TIMESTAMP="$built" "$@"
}

# Shows how far make's output on stdin has come.
progress() {
	local line n=0 shown=0 total=$1 width=40 percent bar
	while read -r line; do
		case $line in
		CC\ * | AS\ * | HOSTCC\ *) n=$((n + 1)) ;;
		*) continue ;;
		esac
		percent=$((total ? n * 100 / total : 0))
		[ $percent -le 99 ] || percent=99
		if [ -t 1 ]; then
			printf -v bar '%*s' $((percent * width / 100)) ''
			printf '\rguest kernel [%-*s] %2d%% %-40.40s' $width "${bar// /#}" $percent "${line##* }"
		elif [ $((SECONDS / 60)) -gt $shown ]; then
			shown=$((SECONDS / 60))
			echo "guest kernel: $percent%, $shown min"
		fi
	done
	[ ! -t 1 ] || printf '\r%-100s\r' ''
}

build() {
	local total=$objects
	[ ! -e "$work/src/vmlinux" ] || total=0 # a part, nobody knows how much
	SECONDS=0
	echo "building the guest kernel (Linux $source_id)"
	kmake -j"$(nproc)" vmlinux 2>&1 | tee "$work/log" | progress $total ||
		{ grep -E -B 2 -A 6 'error|Error' "$work/log" | head -n 40 >&2
			die "cannot build the guest kernel; $work/log has it all"; }
	echo "built $(grep -cE '^ +(CC|AS|HOSTCC) ' "$work/log") objects in $SECONDS s"
}

store() {
	local dir=$cache/$hash
	rm -rf "$dir.tmp"
	mkdir "$dir.tmp"
	{
		strip -s -o "$dir.tmp/vmlinux" "$work/src/vmlinux"
		cp "$work/src/vmlinux" "$dir.tmp/vmlinux.debug"
		cp "$work/src/System.map" "$work/src/.config" "$dir.tmp"
		sync -f "$dir.tmp"
		mv "$dir.tmp" "$dir"
	} 2>/dev/null || { rm -rf "$dir.tmp" && die "cannot write to $cache; see that it is writable"; }
	# Kernels of the past: the three last used ones stay.
	find "$cache" -maxdepth 1 -type d -name '????????????????????????????????' -printf '%T@ %p\n' |
		sort -rn | tail -n +4 | cut -d ' ' -f 2- | xargs -r rm -rf
}

deliver() {
	touch -c "$cache/$hash" # used just now
	mkdir -p "$(dirname "$out")"
	for file in vmlinux.debug System.map vmlinux; do
		cp "$cache/$hash/$file" "$out.tmp"
		mv "$out.tmp" "$(dirname "$out")/$file"
	done
	echo "$hash" >"$out.hash"
}

if ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
	echo "lucid: cannot write to $cache; set XDG_CACHE_HOME to a folder of yours" >&2
	exit 1
fi
[ -r "$port/config" ] || die "$port/config is missing; check out the tree again"
shopt -s nullglob
patches=("$port"/patches/*.patch)
shopt -u nullglob

find_source
work=$cache/work-$source_id
hash=$(hash_inputs)
[ "$(cat "$out.hash" 2>/dev/null)" != "$hash" ] || [ ! -e "$out" ] || exit 0
if [ ! -e "$cache/$hash/vmlinux" ]; then
	take_lock
	# Whoever had the lock may have built the same.
	if [ ! -e "$cache/$hash/vmlinux" ]; then
		[ -d "$work/src" ] || unpack
		built=$(date -u -r "$work/src/Kbuild" '+%a %b %e %H:%M:%S UTC %Y')
		lay_port
		configure
		build
		store
	fi
fi
deliver
