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
check 'ext4 is sound' /sbin/e2fsck -fn "$TMP/a" >/dev/null 2>&1
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
finish
