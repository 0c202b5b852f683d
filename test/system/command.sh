# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What the command sees: environment, folder, user, host name.
# as: nobody
. "$TREE/test/system/lib.sh"

lucid --env A=1 --env 'B=two words' --env C= -- sh -c 'echo "$A,$B,$C,${D-unset}"'
check 'environment' both 0 '1,two words,,unset'
guest 'echo $PATH | grep -c /bin; echo $HOME'
check 'default environment' both 0 '1
/root'
SECRET=x lucid -- sh -c 'echo "${SECRET-unset}"'
check "the host's environment stays outside" both 0 unset
lucid --workdir /etc -- pwd
check 'workdir' both 0 /etc
lucid --workdir /none -- pwd
check 'missing workdir' status_is 125
lucid --user 65534 -- sh -c 'id -u; id -g'
check 'user' both 0 '65534
65534'
lucid --user 1:2 -- sh -c 'id -u; id -g; echo x 2>/dev/null >/etc/x || echo denied'
check 'user and group' both 0 '1
2
denied'
guest 'id -u'
check 'root by default' both 0 0
lucid --hostname box.example -- hostname
check 'host name' both 0 box.example
guest hostname
check 'default host name' both 0 lucid
lucid -- printf '%s|' a 'b c' '' '*' "d'e"
check 'arguments' both 0 "a|b c||*|d'e|"
guest 'ls /proc/1/exe >/dev/null && test -c /dev/null && test -d /sys/kernel && mount | grep -c tmpfs >/dev/null && echo ok'
check 'proc, sys, dev, tmp' both 0 ok
guest 'echo x >/tmp/x && cat /tmp/x'
check 'a writable /tmp' both 0 x
guest 'cat /sys/class/net/lo/operstate >/dev/null; (echo hi | nc -l -p 77 &) ; sleep 0.2; nc 127.0.0.1 77 </dev/null'
check 'loopback' out_has hi
finish
