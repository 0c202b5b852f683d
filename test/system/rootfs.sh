# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Every form of root, and that its source never changes.
# timeout: 240
# as: nobody
. "$TREE/test/system/lib.sh"

make_root "$TMP/root"
echo original >"$TMP/root/etc/file"
# Not busybox itself: as a set-user-ID program of nobody it would drop the shell's rights.
cp "$TMP/root/etc/file" "$TMP/root/bin/tool"
chmod 4755 "$TMP/root/bin/tool"
tar -cf "$TMP/root.tar" -C "$TMP/root" .
gzip -k "$TMP/root.tar"
zstd -q "$TMP/root.tar"
mkfs.erofs --quiet "$TMP/root.erofs" "$TMP/root" >/dev/null 2>&1
truncate -s 32M "$TMP/root.ext4"
/sbin/mkfs.ext4 -q -d "$TMP/root" "$TMP/root.ext4"
# A name that lies.
cp "$TMP/root.tar.gz" "$TMP/root.erofs.ext4"

# What the source is, without the times of reading.
state() {
	if [ -d "$1" ]; then
		(cd "$1" && find . -printf '%p %m %s %T@ %i\n' | sort) | md5sum
	else
		md5sum <"$1"
	fi
}

for form in root root.tar root.tar.gz root.tar.zst root.erofs root.ext4 root.erofs.ext4; do
	before=$(state "$TMP/$form")
	lucid --rootfs "$TMP/$form" -- sh -c 'cat /etc/file; echo changed >/etc/file &&
		rm /bin/touch && mkdir /new && cat /etc/file'
	check "$form" both 0 'original
changed'
	check "$form is unchanged" [ "$(state "$TMP/$form")" = "$before" ]
done
lucid --rootfs "$TMP/root" -- cat /etc/file
check 'changes go with the machine' both 0 original
lucid --rootfs "$TMP/root.tar" -- sh -c 'stat -c "%u %a" /bin/tool'
check 'owner and mode from an archive' both 0 "$(id -u) 4755"
lucid --rootfs "$TMP/root" -- sh -c 'stat -c "%u %a" /bin/tool'
check 'owner and mode from a directory' both 0 '0 4755'

lucid --rw --rootfs "$TMP/root.ext4" -- sh -c 'echo changed >/etc/file'
check 'rw' status_is 0
lucid --rw --rootfs "$TMP/root.ext4" -- cat /etc/file
check 'rw changes stay' both 0 changed
check 'rw leaves a sound file system' /sbin/e2fsck -fn "$TMP/root.ext4" >/dev/null 2>&1

# The cache: one image a source, made anew after a change.
images() {
	find "$XDG_CACHE_HOME/lucid/images" -name '*.erofs' | wc -l
}
count=$(images)
lucid --rootfs "$TMP/root" -- true
check 'a second run makes no image' [ "$(images)" -eq "$count" ]
echo edited >"$TMP/root/etc/file"
lucid --rootfs "$TMP/root" -- cat /etc/file
check 'a change is seen' both 0 edited
check 'the old image is gone' [ "$(images)" -eq "$count" ]
rm -rf "$XDG_CACHE_HOME/lucid/images"
for i in 1 2 3; do
	timeout 60 "$LUCID" run --rootfs "$TMP/root" -- cat /etc/file </dev/null >"$TMP/out.$i" 2>&1 &
done
wait
check 'three at once' [ "$(cat "$TMP"/out.? | grep -c '^edited$')" -eq 3 ]
check 'three at once make one image' [ "$(images)" -eq 1 ]

# An archive that a user could not unpack as it is: devices, other owners.
if command -v fakeroot >/dev/null; then
	fakeroot sh -c "mknod '$TMP/root/dev/odd' c 1 5; chown 123:45 '$TMP/root/etc/file'
		tar -cf '$TMP/odd.tar' -C '$TMP/root' ."
	lucid --rootfs "$TMP/odd.tar" -- sh -c 'mkdir /x && mount -o ro -t erofs /dev/vda /x &&
		stat -c "%u:%g" /x/etc/file && stat -c "%F %t,%T" /x/dev/odd'
	check 'device nodes and owners' both 0 '123:45
character special file 1,5'
fi
finish
