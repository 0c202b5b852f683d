# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The macro rows (bench/macro/run.sh): on one Debian root, in the guest and in a chroot on
# the host. Sourced by bench.sh.

macro_image=$out/macro.erofs
macro_root=$out/macro
vcpus=${VCPUS:-2}

# The chroot has loopback, processes and /tmp of its own, as the guest has.
macro_native() {
	"${prefix[@]}" unshare --mount --net --pid --ipc --fork --kill-child sh -c '
		mount -t tmpfs tmpfs "$1/tmp" && mount -t proc proc "$1/proc" &&
			mount --bind /dev "$1/dev" && mount -t tmpfs tmpfs "$1/dev/shm" &&
			mount --bind "$2" "$1/mnt/run.sh" && mount --bind "$3" "$1/mnt/disk" &&
			ip link set lo up && shift 3 && exec chroot "$0" env DISK=/mnt/disk bash /mnt/run.sh "$@"' \
		"$macro_root" "$macro_root" "$PWD/bench/macro/run.sh" "$tmp/disk" "${rows[@]}"
}

macro_lucid() {
	"${prefix[@]}" "$lucid" run "${options[@]}" --memory 3G --cpus "$vcpus" --rootfs "$macro_image" \
		--disk "$tmp/disk" -- env DISK=/dev/vdb bash -c "$(cat bench/macro/run.sh)" run.sh "${rows[@]}"
}

# mkdir and the like need the root's own files to be there: once, kept with the image's name.
unpack_macro() {
	local image
	tools/debian.sh "$macro_image" bench/macro/packages >&2 || return
	image=$(stat -L -c '%d %i %s %Y' "$macro_image")
	[ "$(cat "$macro_root.image" 2>/dev/null)" != "$image" ] || return 0
	rm -rf "$macro_root" "$macro_root.image"
	fsck.erofs --extract="$macro_root" "$macro_image" >"$tmp/err" 2>&1 || return
	touch "$macro_root/mnt/run.sh" "$macro_root/mnt/disk"
	echo "$image" >"$macro_root.image"
}

macro_part() {
	local prefix limit=900
	if [ "$(id -u)" -ne 0 ]; then
		tell
		echo "bench: no macro rows: their native side is a chroot, which needs root" >&2
		return
	fi
	unpack_macro || { failed "the root of the macro rows" && return; }
	truncate -s 256M "$tmp/disk" && shred -n 1 "$tmp/disk"
	prefix_of unpinned
	in_turns macro macro
}
