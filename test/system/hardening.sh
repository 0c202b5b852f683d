# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the guest's kernel does against attacks on itself, and what it tells of its memory.
# timeout: 180
# as: nobody
. "$TREE/test/system/lib.sh"

# dmesg of busybox ends with what the log's end leaves.
lucid --append lucid_check -- sh -c 'dmesg | grep -o "lucid: check: .*"'
check 'attempts on the kernel are made' [ "$(grep -c check: "$TMP/out")" -eq 17 ]
check 'each of them is refused' [ "$(grep -vc ': refused$' "$TMP/out")" -eq 0 ]

# What cannot be tried without losing the machine, or at random.
guest 'zcat /proc/config.gz'
for option in STACKPROTECTOR_STRONG INIT_STACK_ALL_ZERO SCHED_STACK_END_CHECK FORTIFY_SOURCE \
	SLAB_FREELIST_RANDOM SLAB_FREELIST_HARDENED RANDOMIZE_KSTACK_OFFSET; do
	check "$option" out_has "^CONFIG_$option=y$"
done
guest 'setuidgid() { busybox setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
cat /proc/sys/kernel/dmesg_restrict /proc/sys/kernel/unprivileged_bpf_disabled
setuidgid dmesg >/dev/null 2>&1 || echo refused'
check 'the log and BPF are not for everyone' both 0 '1
2
refused'

guest 'head -c 8000000 /dev/zero | tr "\0" x >/tmp/x
sum() { awk -v key="$1:" '\''$1 == key { n += $2 } END { print (n > 0) }'\'' /proc/self/smaps; }
sum Rss; sum Pss; sum Private_Dirty
[ "$(head -c 8 /proc/self/pagemap | wc -c)" = 8 ] && echo pagemap
count() { sed -n "s/^$1 //p" /proc/vmstat; }
old=$(count pgfault)
i=0; while [ $i -lt 100 ]; do (exit 0); i=$((i + 1)); done
[ $(($(count pgfault) - old)) -ge 100 ] && echo counts'
check 'smaps, pagemap, vmstat' both 0 '1
1
1
pagemap
counts'
finish
