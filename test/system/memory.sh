# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Memory: what the guest is given, and what happens when it is used up.
# timeout: 300
. "$TREE/test/system/lib.sh"

guest 'awk "/MemTotal/ { print (\$2 > 400000 && \$2 < 524288) }" /proc/meminfo'
check 'the default of 512 MiB' both 0 1
lucid --memory 2G -- sh -c 'awk "/MemTotal/ { print (\$2 > 1900000 && \$2 < 2097152) }" /proc/meminfo'
check '2 GiB' both 0 1
lucid --memory 64M -- echo hello
check '64 MiB are enough' both 0 hello
lucid --memory 16G -- echo hello
check '16 GiB cost nothing untouched' both 0 hello

# The hungry process is killed, the guest lives on.
lucid --memory 256M -- sh -c 'tail /dev/zero; echo "status $?"; echo alive'
check 'out of memory kills the process' out_has '^status 137'
check 'out of memory leaves the guest' out_has '^alive'
lucid --memory 256M -- sh -c 'i=0; while [ $i -lt 5 ]; do tail /dev/zero; i=$((i + 1)); done; echo alive'
check 'out of memory again and again' out_has '^alive'
lucid --memory 256M -- sh -c 'dd if=/dev/zero of=/tmp/x bs=1M count=1000 2>/dev/null; rm /tmp/x; echo alive'
check 'a full tmpfs' out_has '^alive'
finish
