# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Disks in images that are not raw, which qemu-storage-daemon serves.
# as: nobody
# timeout: 240
. "$TREE/test/system/lib.sh"

image=$TMP/a.qcow2
qemu-img create -q -f qcow2 "$image" 64M
lucid --disk "$image" -- sh -c 'cat /sys/block/vda/size
	dd if=/dev/urandom of=/dev/vda bs=1M count=64 conv=fsync 2>/dev/null && md5sum </dev/vda'
check 'qcow2: written and read' status_is 0
qemu-img convert -O raw "$image" "$TMP/raw"
check 'whole' out_is "131072
$(md5sum <"$TMP/raw")"
check 'sound' qemu-img check -q "$image"
lucid --disk "$image" -- sh -c 'dd if=/dev/zero of=/dev/vda bs=1M seek=63 count=1 conv=fsync 2>/dev/null; blkdiscard -o 1M -l 60M /dev/vda ||
	blkdiscard /dev/vda; dd if=/dev/vda bs=1M skip=2 count=1 2>/dev/null | tr -d "\0" | wc -c'
check 'discarded' both 0 0
check 'and given back to the host' [ "$(du -m "$image" | cut -f 1)" -le 8 ]

# A file system, with its journal, and limits as on any other disk.
truncate -s 32M "$TMP/ext4"
/sbin/mkfs.ext4 -q "$TMP/ext4"
qemu-img convert -f raw -O qcow2 "$TMP/ext4" "$image"
lucid --disk "$image" -- sh -c 'mount -t ext4 /dev/vda /mnt && echo kept >/mnt/file && umount /mnt && echo done'
check 'a file system' both 0 'done'
lucid --disk "$image,ro" -- sh -c 'mount -t ext4 -o ro /dev/vda /mnt && cat /mnt/file; echo x 2>/dev/null >/dev/vda || echo denied'
check 'read-only' both 0 'kept
denied'
lucid --disk "$image" --iops 20 -- sh -c 's=$(date +%s); i=0; while [ $i -lt 60 ]; do
	dd if=/dev/vda of=/dev/null bs=4k count=1 skip=$((i * 16)) iflag=direct 2>/dev/null; i=$((i + 1)); done; e=$(date +%s)
	[ $((e - s)) -ge 2 ] && [ $((e - s)) -le 30 ] && echo slow'
check 'requests are limited' both 0 slow
qemu-img convert -f qcow2 -O raw "$image" "$TMP/ext4"
check 'sound on the host' eval '/sbin/e2fsck -fn "$TMP/ext4" >/dev/null 2>&1'

for format in vmdk vdi vpc vhdx; do
	suffix=$format
	[ $format != vpc ] || suffix=vhd
	qemu-img convert -f raw -O $format "$TMP/ext4" "$TMP/b.$suffix"
	lucid --disk "$TMP/b.$suffix" -- sh -c 'mount -t ext4 /dev/vda /mnt && cat /mnt/file'
	check "$format" both 0 kept
done

# What lies on another image: in its folder, and nowhere else.
qemu-img create -q -f qcow2 -b a.qcow2 -F qcow2 "$TMP/over.qcow2"
md5sum <"$image" >"$TMP/before"
lucid --disk "$TMP/over.qcow2" -- sh -c 'mount -t ext4 /dev/vda /mnt && cat /mnt/file && echo new >/mnt/file && umount /mnt'
check 'an image on another one' both 0 kept
check 'which stays as it is' [ "$(md5sum <"$image")" = "$(cat "$TMP/before")" ]
mkdir "$TMP/elsewhere"
head -c 1048576 /dev/urandom >"$TMP/secret"
qemu-img create -q -f qcow2 -b ../secret -F raw "$TMP/elsewhere/c.qcow2"

# bad NAME REGEX OPTIONS...: one line that says so.
bad() {
	local name=$1 regex=$2
	shift 2
	lucid "$@" -- true
	check "$name" eval 'bad_input && err_has "$regex"'
}
bad 'on a file elsewhere' 'secret.*Permission denied' --disk "$TMP/elsewhere/c.qcow2"
bad 'no such image' 'no such file' --disk "$TMP/none.qcow2"
printf 'QFI\373' >"$TMP/broken.qcow2"
bad 'a broken one' 'Unsupported qcow2 version' --disk "$TMP/broken.qcow2"
ln -s raw "$TMP/raw.qcow2"
bad 'none, but by its name' 'does not begin like one' --disk "$TMP/raw.qcow2"
lucid --disk "$TMP/raw,format=raw" -- cat /sys/block/vda/size
check 'raw, as it is said' both 0 131072

# A guest writes the first bytes of an image with a secret below it to its raw disk: the next
# machine must not believe them.
lucid --disk "$TMP/raw" -v "$TMP/elsewhere:/mnt:ro" -- sh -c 'cat /mnt/c.qcow2 >/dev/vda; sync'
bad 'a raw disk that begins like an image' 'which a guest could have written' --disk "$TMP/raw"
lucid --disk "$TMP/raw,format=raw" -- head -c 3 /dev/vda
check 'which is a disk still' both 0 QFI

exec 9<"$image"
flock 9
bad 'in use' 'in use by another machine' --disk "$image"
exec 9<&-
qemu-io -c 'sleep 20000' "$image" >"$TMP/other" 2>&1 &
other=$!
sleep 0.5
bad 'in use elsewhere' 'in use by another program' --disk "$image"
kill $other
wait $other 2>/dev/null
mkdir "$TMP/bin"
ln -s "$(command -v busybox)" "$TMP/bin/busybox"
run env PATH="$TMP/bin" "$LUCID" run --disk "$image" -- true </dev/null
check 'no package' eval 'bad_input && err_has "install the package qemu-system-common"'

# Its server dies: errors in the guest, and the machine lives.
mkfifo "$TMP/go"
"$LUCID" run --disk "$image" -- sh -c 'dd if=/dev/vda bs=4k count=1 2>/dev/null | wc -c; read x
	dd if=/dev/vda of=/dev/null bs=4k count=1 skip=9 iflag=direct 2>/dev/null || echo error
	dd if=/dev/zero of=/dev/vda bs=4k count=1 oflag=direct 2>/dev/null || echo error; echo alive' \
	<"$TMP/go" >"$TMP/out" 2>"$TMP/err" &
vm=$!
exec 8>"$TMP/go"
soon grep -q 4096 "$TMP/out"
tr ' ' '\n' <"/proc/$vm/task/$vm/children" | while read -r child; do
	[ -z "$child" ] || ! grep -q qemu-storage "/proc/$child/comm" || kill -9 "$child"
done
echo >&8
wait $vm
status=$?
check 'a server that dies' both 0 '4096
error
error
alive'
check 'and that is said' err_has 'server of disk .* has ended'

# And with a machine that is killed, its server goes too, and lets go of the image.
"$LUCID" run --disk "$image" -- sh -c 'echo up; read x' <"$TMP/go" >"$TMP/out" 2>/dev/null &
vm=$!
soon grep -q up "$TMP/out"
server=$(tr ' ' '\n' <"/proc/$vm/task/$vm/children" | while read -r child; do
	[ -z "$child" ] || ! grep -q qemu-storage "/proc/$child/comm" || echo "$child"
done)
check 'its server' [ -n "$server" ]
check 'is confined' grep -q '^Seccomp:.*2' "/proc/$server/status"
check 'and has no capability but one' grep -Eq '^CapEff:.*0{14}0[02]$' "/proc/$server/status"
kill -9 $vm
wait $vm 2>/dev/null
exec 8>&-
lucid --disk "$image" -- true
check 'another machine at once' status_is 0
check 'a server ends with its machine' soon [ ! -e "/proc/$server" ]
check 'and the image is sound' qemu-img check -q "$image"
finish
