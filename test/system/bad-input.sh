# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Bad input of every kind: one line that says what and what to do, 125, nothing left behind.
# as: nobody
. "$TREE/test/system/lib.sh"

# bad NAME OPTIONS...
bad() {
	local name=$1
	shift
	lucid "$@" -- true
	check "$name" bad_input
}

bad 'unknown option' --nonsense
bad 'memory too small' --memory 1M
bad 'memory past the address map' --memory 9000G
bad 'memory no size' --memory lots
bad 'too many cpus' --cpus 65
bad 'no cpus' --cpus 0
bad 'no such cpu' --cpu-affinity 1023
bad 'no list of cpus' --cpu-affinity 0-
bad 'no environment' --env X
bad 'no user' --user root
bad 'relative workdir' --workdir here
bad 'bad hostname' --hostname 'a b'
bad 'no time' --timeout soon
bad 'rw without root' --rw
run "$LUCID"
check 'no command' bad_input
run "$LUCID" nonsense
check 'unknown command' bad_input

lib=$(dirname "$LUCID")/../lib/lucid
bad 'missing kernel' --kernel "$TMP/none"
bad 'a folder as kernel' --kernel "$TMP"
: >"$TMP/empty"
bad 'empty kernel' --kernel "$TMP/empty"
echo 'no kernel' >"$TMP/text"
bad 'text as kernel' --kernel "$TMP/text"
bad 'a program as kernel' --kernel /bin/true
for size in 40 1000 100000 1000000 5000000; do
	head -c $size "$lib/vmlinux" >"$TMP/short"
	bad "kernel cut to $size" --kernel "$TMP/short"
done
dd if="$lib/vmlinux" of="$TMP/odd" bs=64K count=200 2>/dev/null
dd if=/dev/urandom of="$TMP/odd" bs=1 seek=32 count=24 conv=notrunc 2>/dev/null
bad 'kernel with a wild header' --kernel "$TMP/odd"

bad 'missing root' --rootfs "$TMP/none"
bad 'empty root' --rootfs "$TMP/empty"
bad 'text as root' --rootfs "$TMP/text"
bad 'device as root' --rootfs /dev/zero
make_root "$TMP/root"
tar -cf "$TMP/root.tar" -C "$TMP/root" .
gzip -k "$TMP/root.tar"
zstd -q "$TMP/root.tar"
mkfs.erofs --quiet "$TMP/root.erofs" "$TMP/root" >/dev/null 2>&1
truncate -s 16M "$TMP/root.ext4"
/sbin/mkfs.ext4 -q -d "$TMP/root" "$TMP/root.ext4"
for form in tar tar.gz tar.zst erofs ext4; do
	head -c 500000 "$TMP/root.$form" >"$TMP/cut.$form"
	bad "$form cut short" --rootfs "$TMP/cut.$form"
done
head -c 100000 /dev/urandom | gzip >"$TMP/noise.gz"
bad 'compressed noise' --rootfs "$TMP/noise.gz"
bad 'rw archive' --rw --rootfs "$TMP/root.tar"
bad 'rw erofs' --rw --rootfs "$TMP/root.erofs"
XDG_CACHE_HOME=/dev/null/cache lucid --rootfs "$TMP/root" -- true
check 'unwritable cache' bad_input
bad 'missing disk' --disk "$TMP/none"
bad 'a folder as disk' --disk "$TMP"
bad 'console in no folder' --console "$TMP/none/console"

# A full disk needs a file system of its own, and root to mount it.
mkdir "$TMP/small"
if mount -t tmpfs -o size=1M none "$TMP/small" 2>/dev/null; then
	XDG_CACHE_HOME=$TMP/small lucid --rootfs "$TMP/root" -- true
	check 'no space left' bad_input
	check 'no space left: says so' err_has 'no space left'
	check 'no space left: no rest' [ -z "$(find "$TMP/small" -name '*.erofs' -o -name tmp)" ]
	umount "$TMP/small"
else
	skip 'no space left'
fi
finish
