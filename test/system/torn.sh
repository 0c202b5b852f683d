# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A monitor that is killed loses no transaction that the guest was told is safe: sqlite under
# load, kill -9 at a random moment, then the disk is looked at by a second machine. ROUNDS=50
# test/run torn is the long form.
# as: nobody
# timeout: 900
. "$TREE/test/system/lib.sh"

rounds=${ROUNDS:-3}
truncate -s 256M "$TMP/disk"
/sbin/mkfs.ext4 -q "$TMP/disk"

# Each line that comes out is a transaction that has been committed and synced; "extra" syncs the
# folder too, without which a rollback journal may come back and undo the last one.
# shellcheck disable=SC2016
load='
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
'
verify='
import sqlite3
d = sqlite3.connect("/mnt/db")
print(d.execute("pragma integrity_check").fetchone()[0])
rows = [r[0] for r in d.execute("select n from t order by n")]
print(max(rows, default=0), len(rows) % 3)
'
lost=0
for round in $(seq "$rounds"); do
	mode=$([ $((round % 2)) -eq 0 ] && echo wal || echo delete)
	: >"$TMP/acknowledged"
	"$LUCID" run --net none --rootfs "$DEBIAN" --disk "$TMP/disk" -- sh -c \
		"mount /dev/vdb /mnt && exec python3 -c '$load' $mode" \
		>"$TMP/acknowledged" 2>"$TMP/err" </dev/null &
	vm=$!
	soon test -s "$TMP/acknowledged"
	sleep "0.$((RANDOM % 1000))"
	kill -9 $vm
	wait $vm 2>/dev/null
	# The last line may be cut short: then it was not acknowledged.
	last=$(tr '\n' ';' <"$TMP/acknowledged" | grep -o '[0-9]*;' | tail -n 1 | tr -d ';')
	lucid --net none --rootfs "$DEBIAN" --disk "$TMP/disk" -- sh -c \
		"mount /dev/vdb /mnt && python3 -c '$verify'"
	{ read -r sound && read -r highest partial; } <"$TMP/out"
	if [ "${sound:-}" != ok ] || [ "${highest:-0}" -lt "${last:-1}" ] || [ "${partial:-1}" -ne 0 ]; then
		lost=$((lost + 1))
		echo "# round $round ($mode): acknowledged ${last:-none}, found ${highest:-none}, ${sound:-no answer}"
	fi
done
check "no acknowledged transaction is lost in $rounds kills" [ $lost -eq 0 ]
check 'the file system is sound after its journal' eval '/sbin/e2fsck -fp "$TMP/disk" >/dev/null 2>&1 || [ $? -eq 1 ]'
finish
