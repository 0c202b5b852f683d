# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Disks: raw images as /dev/vdX.
# as: nobody
. "$TREE/test/system/lib.sh"

truncate -s 32M "$TMP/a"
/sbin/mkfs.ext4 -q "$TMP/a"
truncate -s 1M "$TMP/b"
echo marker >"$TMP/c"
truncate -s 1M "$TMP/c"

lucid --disk "$TMP/a" -- sh -c 'mount -t ext4 /dev/vda /mnt && echo hello >/mnt/file &&
	dd if=/dev/zero of=/mnt/big bs=1M count=10 2>/dev/null && umount /mnt && echo done'
check 'ext4 read and write' both 0 'done'
check 'ext4 is sound' eval '/sbin/e2fsck -fn "$TMP/a" >/dev/null 2>&1'
run /sbin/debugfs -R 'cat file' "$TMP/a"
check 'the file is there' out_is hello

lucid --disk "$TMP/a" --disk "$TMP/b" --disk "$TMP/c,ro" -- \
	sh -c 'for d in a b c; do cat /sys/block/vd$d/size /sys/block/vd$d/ro; done; head -n 1 /dev/vdc'
check 'three disks in their order' both 0 '65536
0
2048
0
2048
1
marker'
cp "$TMP/c" "$TMP/c.before"
lucid --disk "$TMP/c,ro" -- sh -c 'echo x 2>/dev/null >/dev/vda || echo denied'
check 'read-only is read-only' out_has denied
check 'read-only is unchanged' cmp -s "$TMP/c" "$TMP/c.before"
chmod 444 "$TMP/c"
lucid --disk "$TMP/c,ro" -- head -n 1 /dev/vda
check 'a file that may only be read' both 0 marker

head -c 1048576 /dev/urandom >"$TMP/random"
lucid --disk "$TMP/random,ro" -- cat /dev/vda
check '1 MiB read whole' cmp -s "$TMP/random" "$TMP/out"
truncate -s 64M "$TMP/sparse"
lucid --disk "$TMP/sparse" -- sh -c 'dd if=/dev/urandom of=/dev/vda bs=1M count=64 2>/dev/null &&
	sync && md5sum </dev/vda'
sum=$(md5sum <"$TMP/sparse")
check 'what was written is what is there' out_is "$sum"
lucid --disk "$TMP/sparse" -- sh -c 'blkdiscard /dev/vda 2>/dev/null || echo no; cat /dev/vda | tr -d "\0" | wc -c'
check 'discard frees' [ "$(du -m "$TMP/sparse" | cut -f 1)" -le 1 ]

# Beyond the host's limit on files (70 MB here) a write fails, in the guest.
truncate -s 128M "$TMP/limited"
mkdir "$TMP/folder"
(
	ulimit -f 70000
	lucid --memory 64M --disk "$TMP/limited" -v "$TMP/folder:/mnt" -- sh -c '
		dd if=/dev/zero of=/dev/vda bs=1M seek=100 count=1 conv=fsync 2>/dev/null || echo disk
		head -c 80000000 /dev/zero >/mnt/file 2>/dev/null || echo folder
		echo here >/mnt/small; cat /mnt/small'
	exit $status
)
status=$?
check 'files at the limit of the host fail in the guest' both 0 'disk
folder
here'

(ulimit -f 2048 && lucid -- true && exit $status)
check 'no room for memory: what to do' err_has 'raise `ulimit -f`'

# A limit of 20 requests of 4 KiB a second, a few at once: 30 take a second and more.
truncate -s 4M "$TMP/slow"
lucid --disk "$TMP/slow" --iops 20 -- sh -c 's=$(date +%s); i=0; while [ $i -lt 60 ]; do
	dd if=/dev/vda of=/dev/null bs=4k count=1 skip=$((i * 16)) iflag=direct 2>/dev/null; i=$((i + 1)); done; e=$(date +%s)
	[ $((e - s)) -ge 2 ] && [ $((e - s)) -le 30 ] && echo slow'
check 'requests are limited' both 0 slow
lucid --disk "$TMP/slow" --bandwidth 1M -- sh -c 's=$(date +%s); dd if=/dev/vda of=/dev/null bs=1M 2>/dev/null; e=$(date +%s)
	[ $((e - s)) -ge 2 ] && [ $((e - s)) -le 30 ] && echo slow'
check 'bytes are limited' both 0 slow

# The file grows and shrinks while the guest runs.
truncate -s 1M "$TMP/grows"
mkfifo "$TMP/go"
"$LUCID" run --disk "$TMP/grows" -- sh -c 'wait_for() { while [ "$(cat /sys/block/vda/size)" != $1 ]; do sleep 0.05; done; echo $1; }
	wait_for 2048; read x; wait_for 4096; echo end | dd of=/dev/vda bs=512 seek=4095 conv=sync,fsync 2>/dev/null && echo written
	read x; wait_for 1024; dd if=/dev/vda of=/dev/null bs=512 skip=1024 count=1 2>/dev/null; echo alive' \
	<"$TMP/go" >"$TMP/out" 2>"$TMP/err" &
vm=$!
exec 8>"$TMP/go"
soon grep -q 2048 "$TMP/out"
truncate -s 2M "$TMP/grows"
echo >&8
soon grep -q written "$TMP/out"
truncate -s 512K "$TMP/grows"
echo >&8
wait $vm
status=$?
exec 8>&-
check 'a disk follows the size of its file' both 0 '2048
4096
written
1024
alive'
finish
