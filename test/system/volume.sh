# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Folders of the host in the guest.
# as: nobody
# timeout: 240
. "$TREE/test/system/lib.sh"

me=$(id -u)
if [ "$me" -eq 0 ] && [ -z "${IN_NAMESPACE:-}" ]; then
	IN_NAMESPACE=1 exec unshare --mount bash "$0"
fi
vol=$TMP/vol
mkdir "$vol"
echo from-host >"$vol/a"
ln -s /etc/passwd "$vol/outside"
ln -s ../../../../../../../../etc/passwd "$vol/upwards"
lucid -v "$vol:/mnt/deep/er" -- sh -c 'cd /mnt/deep/er && cat a && echo from-guest >b && mkdir d && mv b d/c &&
	ln d/c hard && ln -s d/c soft && cat soft && rm a && grep -o nosuid,nodev /proc/mounts | head -n 1
	cmp outside /etc/passwd && cmp upwards /etc/passwd && echo links stay inside'
check 'files, folders, links' both 0 'from-host
from-guest
nosuid,nodev
links stay inside'
check 'and the host has them' [ "$(cat "$vol/d/c" "$vol/hard" "$vol/soft")" = "$(printf 'from-guest\n%.0s' 1 2 3)" ]
check 'what was removed is gone' [ ! -e "$vol/a" ]

echo keep >"$vol/keep"
lucid -v "$vol:/mnt:ro" -- sh -c 'cat /mnt/keep; echo no >/mnt/keep; rm /mnt/keep; mkdir /mnt/new
	mount -o remount,rw /mnt 2>/dev/null; echo no >/mnt/keep; rm /mnt/keep; true'
check 'read-only' eval 'out_is keep && [ "$(cat "$vol/keep")" = keep ] && [ ! -e "$vol/new" ]'

lucid -v "$vol:/mnt" -- sh -c 'cd /mnt; cp /bin/busybox s; chmod 4755 s; mknod dev c 1 3 2>/dev/null || echo no device
	mkfifo fifo; stat -c %a s; : >t; chmod 6755 t; umask 077; : >u; mkdir -m 2755 g; stat -c %a u g'
check 'no devices' out_has 'no device'
check 'no set-user-ID' [ -z "$(find "$vol" -type f -perm /6000)" ]
check 'modes' out_is 'no device
755
600
2755'

if [ "$me" -eq 0 ]; then
	chmod 777 "$vol"
	lucid --user 1234:567 -v "$vol:/mnt" -- sh -c ': >/mnt/mine; stat -c %u:%g /mnt/mine /mnt/keep; echo x >/mnt/keep || echo denied'
	check "the guest's users own what they make" both 0 '1234:567
0:0
denied'
	check 'on the host, too' [ "$(stat -c %u:%g "$vol/mine")" = 1234:567 ]
	lucid -v "$vol:/mnt" -- chown 5:6 /mnt/mine
	check 'the guest root may give away' [ "$(stat -c %u:%g "$vol/mine")" = 5:6 ]
	mkdir "$TMP/small"
	mount -t tmpfs -o size=1M none "$TMP/small"
	lucid -v "$TMP/small:/mnt" -- sh -c 'echo kept >/mnt/kept; dd if=/dev/zero of=/mnt/big bs=64k count=64 2>&1 |
		grep -o "No space left on device"; cat /mnt/kept'
	check 'a full disk' out_is 'No space left on device
kept'
	umount "$TMP/small"
else
	lucid -v "$vol:/mnt" -- sh -c 'stat -c %u:%g /mnt/keep; : >/mnt/mine; chown 5 /mnt/mine 2>/dev/null || echo denied'
	check "the user's own is the command's own" out_is '0:0
denied'
	lucid --user 1234:567 -v "$vol:/mnt" -- sh -c 'stat -c %u:%g /mnt/keep; : >/mnt/mine2 && echo mine'
	check 'whoever it runs as' both 0 '1234:567
mine'
fi

# Live: each side sees what the other one does.
mkfifo "$TMP/go"
"$LUCID" run -v "$vol:/mnt" -- sh -c 'cat /mnt/keep; echo ready; read x; sleep 1.2; cat /mnt/keep /mnt/new; echo back >/mnt/back; read x' \
	<"$TMP/go" >"$TMP/live" 2>/dev/null &
vm=$!
exec 8>"$TMP/go"
soon grep -q ready "$TMP/live"
echo changed >"$vol/keep"
echo new >"$vol/new"
echo >&8
check 'the host sees the guest' soon grep -q back "$vol/back"
echo >&8
wait $vm
exec 8>&-
check 'the guest sees the host' [ "$(tr '\n' ' ' <"$TMP/live")" = 'keep ready changed new ' ]

# Random operations, mapped ones included, against a copy.
# Compiler caches leave files in the folder that is to be empty at the end.
env -u XDG_RUNTIME_DIR "${CC:-gcc}" -O2 -static -o "$vol/fsx" "$TREE/test/system/prog/fsx.c"
lucid -v "$vol:/mnt" -- sh -c '/mnt/fsx /mnt/random 2000 1 && /mnt/fsx /mnt/random 2000 2'
check 'random reads, writes, mappings' both 0 'sound
sound'
check 'and the host has the result' cmp "$vol/random" "$vol/random.expected"
head -c 20000000 /dev/urandom >"$vol/large"
lucid -v "$vol:/mnt" -- sh -c 'cp /mnt/large /mnt/copy; cat /mnt/copy'
check '20 MB there and back' cmp -s "$vol/large" "$TMP/out"
check 'the copy too' cmp -s "$vol/large" "$vol/copy"
mkdir "$vol/many"
lucid -v "$vol:/mnt" -- sh -c 'cd /mnt/many; i=0; while [ $i -lt 2000 ]; do : >file$i; i=$((i + 1)); done; ls | wc -l; rm -r /mnt/many; ls /mnt | grep -c many'
check '2000 files' out_is '2000
0'

# Trouble.
mkdir "$TMP/doomed"
echo here >"$TMP/doomed/file"
"$LUCID" run -v "$TMP/doomed:/mnt" -- sh -c 'exec 3</mnt/file; echo ready; read x; sleep 1.2; cat /mnt/file 2>/dev/null || echo gone
	echo x >/mnt/other 2>/dev/null || echo none; cat <&3' <"$TMP/go" >"$TMP/out" 2>/dev/null &
vm=$!
exec 8>"$TMP/go"
soon grep -q ready "$TMP/out"
rm -r "$TMP/doomed"
echo >&8
wait $vm
status=$?
exec 8>&-
check 'a folder removed while used' both 0 'ready
gone
none
here'
"$LUCID" run -v "$vol:/mnt" -- sh -c 'cat /mnt/new; read x; cat /mnt/keep 2>/dev/null || echo error; echo alive' <"$TMP/go" >"$TMP/out" 2>"$TMP/err" &
vm=$!
exec 8>"$TMP/go"
soon grep -q new "$TMP/out"
tr ' ' '\n' <"/proc/$vm/task/$vm/children" | while read -r child; do
	[ -z "$child" ] || ! grep -q lucid-folder "/proc/$child/comm" || kill -9 "$child"
done
echo >&8
wait $vm
status=$?
exec 8>&-
check 'a server that dies: errors, and the machine lives' both 0 'new
error
alive'
check 'and that is said' err_has 'server of folder'

bad() {
	local name=$1
	shift
	lucid "$@" -- true
	check "$name" bad_input
}
bad 'a missing folder' -v "$TMP/none:/mnt"
bad 'a file' -v "$vol/keep:/mnt"
bad 'no place' -v "$vol"
bad 'a relative place' -v "$vol:mnt"
bad 'over the root' -v "$vol:/"

# A root that is a folder.
make_root "$TMP/root"
lucid --rootfs "$TMP/root" --rw -v "$vol:/vol" -- sh -c 'echo kept >/root/kept; cat /vol/new; mount | grep -c "on / type virtiofs"; rm -r /tmp; mkdir /tmp'
check 'a folder as root, read-write' both 0 'new
1'
check 'what is done there stays' [ "$(cat "$TMP/root/root/kept")" = kept ]
lucid --rootfs "$TMP/root" --rw -- cat /root/kept
check 'for the next one' both 0 kept
bad 'a missing root' --rootfs "$TMP/none" --rw
finish
