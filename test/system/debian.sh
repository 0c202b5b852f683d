# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Debian 12: programs that people use.
# timeout: 600
. "$TREE/test/system/lib.sh"

RUN_TIMEOUT=180
debian() {
	lucid --memory 1G --rootfs "$DEBIAN" -- bash -c "$1"
}

[ -e "$DEBIAN" ] || { skip 'no Debian root; run make debian' && finish; }
debian 'python3 -c "import json, hashlib, threading, subprocess
t = [threading.Thread(target=hashlib.sha256, args=(b\"x\" * 1000000,)) for _ in range(8)]
[x.start() for x in t]; [x.join() for x in t]
print(json.dumps({\"sum\": sum(range(1000000)), \"sh\": subprocess.getoutput(\"echo hi\")}))"'
check python3 both 0 '{"sum": 499999500000, "sh": "hi"}'

debian 'cd /tmp && printf "#include <stdio.h>\n#include <math.h>\nint main(void) {
	double s = 0; for (int i = 1; i < 1000; i++) s += sqrt(i); printf(\"%%.3f\\\\n\", s); }" >a.c &&
	gcc -O2 -Wall -o a a.c -lm && ./a'
check 'gcc compiles and the program runs' both 0 '21065.833'

debian 'set -e; cd /tmp; git init -q r; cd r; git config user.email a@b; git config user.name a
	for i in $(seq 20); do echo $i >f$i; git add .; git commit -qm "change $i"; done
	git gc -q; git fsck; git log --oneline | wc -l; git clone -q . ../c; ls ../c | wc -l'
check git out_has '^20$'

debian 'cd /tmp; sqlite3 t.db "CREATE TABLE t(i INTEGER PRIMARY KEY, s TEXT);
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 20000)
	INSERT INTO t SELECT i, hex(randomblob(20)) FROM n; CREATE INDEX x ON t(s);
	SELECT count(*), count(DISTINCT s) FROM t; PRAGMA integrity_check;"'
check sqlite3 both 0 '20000|20000
ok'

debian 'perl -e "my %h; \$h{\$_ % 97}++ for 1..100000; print scalar(keys %h), qq(\n)"'
check perl both 0 97

debian 'redis-server --save "" --daemonize yes >/dev/null; sleep 1
	redis-cli set k v; redis-cli get k
	redis-benchmark -q -n 5000 -c 20 -t set,get,lpush 2>&1 | tr "\r" "\n" | grep "per second"'
check redis out_has '^v$'
check redis-benchmark out_has 'GET: .* requests per second'
grep 'per second' "$TMP/out" | sed 's/^/# /'

debian 'strace -f -o /tmp/log sh -c "echo hello | cat" && grep -c "write(1, \"hello" /tmp/log'
check strace status_is 0
debian 'cd /tmp; printf "int g = 41;\nint f(int x) {\n\treturn x + g;\n}\nint main(void) {\n\treturn f(1);\n}\n" >p.c
	gcc -g -O0 -o p p.c
	gdb -batch -ex "break f" -ex run -ex "print x + g" -ex "set var g = 1" -ex "stepi" -ex finish \
		-ex continue ./p 2>&1'
check 'gdb: a breakpoint' out_has 'Breakpoint 1, f \(x=1\)'
check 'gdb: reads memory' out_has '= 42'
check 'gdb: writes memory' out_has 'exited with code 02'
debian 'ps -e --no-headers | grep -c " ps$"; free -m | grep -c Mem; ip addr show lo | grep -c 127.0.0.1; ping -c 1 -q 127.0.0.1 | grep -c "1 received"'
check 'procps and iproute' both 0 '1
1
1
1'
debian 'stress-ng --cpu 1 --vm 1 --vm-bytes 64M --fork 1 --mmap 1 --mmap-bytes 32M --sigq 1 --pipe 1 \
	--futex 1 --timer 1 --verify --timeout 60 2>&1'
check 'stress-ng --verify for a minute' status_is 0
check 'stress-ng: no failure' bash -c '! grep -qiE "fail|error" "$TMP/out"'
finish
