# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Disks of the host that fail: a file system that is full, a device that returns EIO. The guest
# gets an I/O error, the machine lives, and what was acknowledged is there.
# timeout: 180
. "$TREE/test/system/lib.sh"

if [ "$(id -u)" -ne 0 ]; then
	skip 'mounting and loop devices are for root'
	exit 0
fi

is_empty() {
	[ "$(df --output=used "$TMP/small" | tail -n 1)" -eq 0 ]
}

tidy() {
	[ -z "${loop:-}" ] || losetup -d "$loop"
	[ ! -d "$TMP/small" ] || umount "$TMP/small"
}
trap tidy EXIT

# In the guest: goes on until a write fails; says how far it came.
# shellcheck disable=SC2016
fill='n=0
	while [ $n -lt 64 ] && { echo $n; head -c 1048570 /dev/zero | tr "\0" x; } |
		dd of=/dev/vda bs=1M count=1 iflag=fullblock seek=$n conv=fsync,notrunc 2>/dev/null; do n=$((n + 1)); done
	echo $n'

# ---- No space left on the host --------------------------------------------------------
mkdir "$TMP/small"
mount -t tmpfs -o size=20M none "$TMP/small"
for format in raw qcow2; do
	if [ $format = qcow2 ] && ! command -v qemu-img >/dev/null; then
		skip 'no qemu-img'
		continue
	fi
	image=$TMP/small/disk.$format
	if [ $format = raw ]; then
		truncate -s 64M "$image"
	else
		qemu-img create -q -f $format "$image" 64M
	fi
	lucid --memory 128M --disk "$image" -- sh -c "$fill; echo alive"
	written=$(head -n 1 "$TMP/out")
	check "$format on a full file system: an error in the guest, which lives" \
		eval 'status_is 0 && out_has "^alive$" && [ "$written" -ge 10 ] && [ "$written" -le 20 ]'
	lucid --disk "$image,ro" -- sh -c "i=0; while [ \$i -lt $written ]; do
		[ \"\$(dd if=/dev/vda bs=1M skip=\$i count=1 2>/dev/null | head -n 1)\" = \$i ] || echo \$i; i=\$((i + 1)); done; echo whole"
	check 'nothing is lost that was acknowledged' both 0 whole
	rm -f "$image"
	# A ring of the host's kernel holds its files for a moment after its process has ended.
	soon is_empty
done

# A file system in the guest, and room again: it goes on.
truncate -s 64M "$TMP/small/disk"
/sbin/mkfs.ext4 -q "$TMP/small/disk"
head -c 12M /dev/zero | tr '\0' x >"$TMP/small/other"
mkfifo "$TMP/go"
"$LUCID" run --disk "$TMP/small/disk" -- sh -c 'mount -t ext4 -o errors=remount-ro /dev/vda /mnt
	echo first >/mnt/first; sync /mnt/first && echo synced
	head -c 20000000 /dev/zero | tr "\0" x >/mnt/big; sync /mnt/big 2>/dev/null || echo error
	read x; rm /mnt/big; echo later >/mnt/later; sync /mnt/later 2>/dev/null; umount /mnt; echo alive' \
	<"$TMP/go" >"$TMP/out" 2>"$TMP/err" &
vm=$!
exec 8>"$TMP/go"
soon grep -q error "$TMP/out"
rm "$TMP/small/other"
echo >&8
wait $vm
status=$?
exec 8>&-
check 'ext4 on it: sync fails, and the machine goes on' both 0 'synced
error
alive'
check 'it can be mended' eval '/sbin/e2fsck -fp "$TMP/small/disk" >/dev/null 2>&1 || [ $? -eq 1 ]'
run /sbin/debugfs -R 'cat first' "$TMP/small/disk"
check 'with what was synced' out_is first

# ---- EIO --------------------------------------------------------------------------------
truncate -s 16M "$TMP/backing"
loop=$(losetup -f --show "$TMP/backing" 2>/dev/null) || loop=
if [ -z "$loop" ]; then
	skip 'no loop device'
	finish
fi
"$LUCID" run --disk "$loop" -- sh -c 'echo kept | dd of=/dev/vda bs=512 conv=sync,fsync 2>/dev/null && echo written
	read x
	dd if=/dev/vda of=/dev/null bs=4k skip=2048 count=1 iflag=direct 2>/dev/null || echo read
	dd if=/dev/zero of=/dev/vda bs=4k seek=2048 count=1 conv=fsync 2>/dev/null || echo sync
	dd if=/dev/vda bs=512 count=1 iflag=direct 2>/dev/null | head -n 1' \
	<"$TMP/go" >"$TMP/out" 2>"$TMP/err" &
vm=$!
exec 8>"$TMP/go"
soon grep -q written "$TMP/out"
# Beyond its end the device has nothing to give, and may not grow.
truncate -s 1M "$TMP/backing"
chattr +i "$TMP/backing" 2>/dev/null
echo >&8
wait $vm
status=$?
exec 8>&-
chattr -i "$TMP/backing" 2>/dev/null
check 'a device that returns EIO: so does the disk, and the rest of it is there' both 0 'written
read
sync
kept'
finish
