# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A monitor that is killed loses no transaction that the guest was told is safe: sqlite or
# postgres under load, kill -9 at a random moment, then the disk, raw or qcow2, is looked at by
# a second machine. ROUNDS=50 test/run torn is the long form. postgres needs the root of the macro
# benchmark (make bench, or tools/debian.sh build/bench/macro.erofs bench/macro/packages).
# as: nobody
# timeout: 1800
. "$TREE/test/system/lib.sh"

rounds=${ROUNDS:-4}
truncate -s 384M "$TMP/disk"
/sbin/mkfs.ext4 -q "$TMP/disk"
qemu-img convert -f raw -O qcow2 "$TMP/disk" "$TMP/disk.qcow2"
loads=(sqlite-delete sqlite-wal)
if [ -r "${MACRO:-}" ]; then
	loads+=(postgres)
else
	skip 'postgres: no root that has it'
fi

# Each line that comes out is a transaction that has been committed and synced; "extra" syncs the
# folder too, without which a rollback journal may come back and undo the last one.
cat >"$TMP/sqlite-load" <<'EOF'
exec python3 -c '
import os, sqlite3, sys
d = sqlite3.connect("/mnt/db", isolation_level=None)
d.execute("pragma journal_mode=" + sys.argv[1])
d.execute("pragma synchronous=extra")
d.execute("create table if not exists t (n integer primary key, x text)")
batch = (d.execute("select coalesce(max(n), -1) from t").fetchone()[0] + 1) // 3
while True:
    d.execute("begin")
    for i in range(3):
        d.execute("insert into t values (?, ?)", (3 * batch + i, "x" * 500))
    d.execute("commit")
    os.write(1, b"%d\n" % (3 * batch + 2))
    batch += 1
' $1
EOF
# Prints "ok", then the highest number and how many there are of a transaction that is not whole.
cat >"$TMP/sqlite-verify" <<'EOF'
exec python3 -c '
import sqlite3
d = sqlite3.connect("/mnt/db")
print(d.execute("pragma integrity_check").fetchone()[0])
rows = [r[0] for r in d.execute("select n from t order by n")]
print(max(rows, default=0), len(rows) % 3)
'
EOF
cat >"$TMP/postgres-start" <<'EOF'
bin=$(echo /usr/lib/postgresql/*/bin)
mkdir -p /mnt/pg /tmp/pg && chown nobody /mnt/pg /tmp/pg && cd /tmp/pg
as="setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp/pg"
if [ ! -e /mnt/pg/made ]; then
	rm -rf /mnt/pg/data
	$as $bin/initdb -D /mnt/pg/data -A trust >/dev/null 2>&1 && sync && touch /mnt/pg/made && sync
fi
rm -f /mnt/pg/data/postmaster.pid
$as $bin/pg_ctl -D /mnt/pg/data -w -t 60 -l /tmp/pg/log -o "-k /tmp/pg -h ''" start >/dev/null || cat /tmp/pg/log >&2
sql() { $as psql -h /tmp/pg -qAt "$@" postgres; }
EOF
cat >"$TMP/postgres-load" <<'EOF'
sql -c 'create table if not exists t (n serial primary key, x text)'
n=$(sql -c 'select coalesce(max(n), 0) / 3 from t')
while n=$((n + 1)); do
	echo "begin; insert into t values ($((3 * n - 2)), repeat('x', 500)), ($((3 * n - 1)), repeat('x', 500));
		insert into t values ($((3 * n)), repeat('x', 500)); commit; select $((3 * n));"
done | sql
EOF
cat >"$TMP/postgres-verify" <<'EOF'
sql -c 'set enable_indexscan = off; select count(x) from t' >/dev/null && echo ok
sql -F ' ' -c 'select coalesce(max(n), 0), count(*) % 3 from t'
EOF

# script LOAD WHAT: what the guest is to do, as the text of a shell script.
script() {
	echo 'mount /dev/vdb /mnt || exit 1'
	case $1 in
	postgres)
		cat "$TMP/postgres-start" "$TMP/postgres-$2"
		;;
	*)
		echo "set -- ${1#sqlite-}"
		cat "$TMP/sqlite-$2"
		;;
	esac
}

lost=0
done_of=0
for round in $(seq "$rounds"); do
	load=${loads[$(((round - 1) / 2 % ${#loads[@]}))]}
	[ -n "${ROUNDS:-}" ] || load=${loads[$(((round - 1) % ${#loads[@]}))]}
	disk=$TMP/disk
	[ $((round % 2)) -eq 1 ] || disk=$TMP/disk.qcow2
	root=$DEBIAN
	[ "$load" != postgres ] || root=$MACRO
	: >"$TMP/acknowledged"
	"$LUCID" run --net none --rootfs "$root" --disk "$disk" -- sh -c "$(script "$load" load)" \
		>"$TMP/acknowledged" 2>"$TMP/err" </dev/null &
	vm=$!
	for _ in $(seq 6); do
		! soon test -s "$TMP/acknowledged" || break
	done
	sleep "0.$((RANDOM % 1000))"
	kill -9 $vm
	wait $vm 2>/dev/null
	# The last line may be cut short: then it was not acknowledged.
	last=$(tr '\n' ';' <"$TMP/acknowledged" | grep -o '[0-9]*;' | tail -n 1 | tr -d ';')
	RUN_TIMEOUT=120 lucid --net none --rootfs "$root" --disk "$disk" -- sh -c "$(script "$load" verify)"
	sound='' highest='' partial=''
	{ read -r sound && read -r highest partial; } <"$TMP/out"
	done_of=$((done_of + ${last:-0}))
	if [ "$sound" != ok ] || [ "${highest:-0}" -lt "${last:-1}" ] || [ "${partial:-1}" -ne 0 ]; then
		lost=$((lost + 1))
		echo "# round $round ($load, ${disk##*/}): acknowledged ${last:-none}, found ${highest:-none}, ${sound:-no answer}"
		tail -n 3 "$TMP/err" | sed 's/^/#   /'
	fi
done
echo "# $rounds rounds of ${loads[*]}"
check "no acknowledged transaction is lost in $rounds kills" [ $lost -eq 0 ]
check 'there were transactions' [ $done_of -gt 0 ]
check 'the file system is sound after its journal' eval '/sbin/e2fsck -fp "$TMP/disk" >/dev/null 2>&1 || [ $? -eq 1 ]'
check 'and the image' qemu-img check -q "$TMP/disk.qcow2"
qemu-img convert -O raw "$TMP/disk.qcow2" "$TMP/disk"
check 'with the file system in it' eval '/sbin/e2fsck -fp "$TMP/disk" >/dev/null 2>&1 || [ $? -eq 1 ]'
finish
