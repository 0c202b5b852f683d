#!/bin/bash
# SPDX-License-Identifier: MIT
# The macro rows: programs that people run, on a Debian root, the same in a guest and in a
# chroot of the same files on the host:
#   run.sh [ROW...]
# Prints "ROW NANOSECONDS" for each, of a unit of work; what is a rate is turned into the time
# of one operation. Works in /tmp, which is in memory; DISK names a raw disk or file for fio.
set -uo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/tmp
work=/tmp/macro
seconds=${SECONDS_EACH:-2}

rows=(build spawn_true python_start python_cpu git_status git_clone redis_get redis_set nginx pgbench
	sqlite fio_random fio_sequential tar_gzip hackbench messaging sysbench_cpu
	sysbench_memory sysbench_threads openssl simd)

# timed N COMMAND...: nanoseconds for each of N units that the command does.
timed() {
	local n=$1 begin end
	shift
	begin=${EPOCHREALTIME/./}
	"$@" >"$work/log" 2>&1 || return
	end=${EPOCHREALTIME/./}
	echo $(((end - begin) * 1000 / n))
}

# The time of one operation, of a rate a second on stdin.
rate() {
	awk '$1 > 0 { printf "%.0f\n", 1e9 / $1 }'
}

repeat() {
	local n=$1
	shift
	while [ "$n" -gt 0 ]; do
		"$@" || return
		n=$((n - 1))
	done
}

# Waits for a server to listen on PORT of the loopback address.
listening() {
	local tries=100
	until (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return
		sleep 0.1
	done
}

# ---- Rows: each prints nanoseconds ---------------------------------------------------

make_zlib() {
	make -s clean && make -s -j2
}

row_build() {
	# Python, since tar needs a program for what it may be compressed by.
	python3 -m tarfile -e /usr/src/macro/zlib.tar . && cd zlib* || return
	./configure >/dev/null 2>&1 && make_zlib >/dev/null 2>&1 || return
	timed 1 make_zlib
}

row_spawn_true() {
	timed 200 repeat 200 /bin/true
}

row_python_start() {
	timed 20 repeat 20 python3 -c pass
}

row_python_cpu() {
	cat >cpu.py <<-'EOF'
		def queens(n, row=0, cols=0, up=0, down=0):
		    if row == n:
		        return 1
		    total = 0
		    free = ~(cols | up | down) & ((1 << n) - 1)
		    while free:
		        bit = free & -free
		        free ^= bit
		        total += queens(n, row + 1, cols | bit, (up | bit) << 1, (down | bit) >> 1)
		    return total
		words = {}
		for i in range(200000):
		    words[str(i * 7919 % 10007)] = words.get(str(i), 0) + i
		assert queens(8) == 92
		print(sum(words.values()), "".join(sorted(words))[:20])
	EOF
	timed 1 python3 cpu.py
}

# 4,000 files in 100 folders.
make_repository() {
	mkdir repo && cd repo || return
	python3 - <<-'EOF'
		import os
		for d in range(100):
		    os.makedirs(f"folder{d}")
		    for f in range(40):
		        with open(f"folder{d}/file{f}", "w") as out:
		            out.write(f"{d} {f}\n" * 50)
	EOF
	git init -q . && git add . && git -c user.name=x -c user.email=x@x commit -qm x
}

row_git_status() {
	make_repository && timed 5 repeat 5 git status --porcelain
}

row_git_clone() {
	make_repository && cd .. && timed 1 git clone -q --no-hardlinks repo clone
}

redis() {
	local pid
	redis-server --save '' --port 6391 --daemonize no >"$work/log" 2>&1 &
	pid=$!
	listening 6391 &&
		redis-benchmark -p 6391 -t "$1" -n 40000 -c 20 --csv 2>/dev/null |
		awk -F'"' 'NR == 2 { print $4 }' | rate
	kill "$pid"
	wait "$pid" 2>/dev/null
}

row_redis_get() { redis get; }
row_redis_set() { redis set; }

row_nginx() {
	local pid
	mkdir -p www logs && head -c 1024 /dev/zero | tr '\0' x >www/index.html || return
	cat >nginx.conf <<-EOF
		daemon off;
		master_process off;
		pid $PWD/pid;
		error_log $PWD/logs/error;
		events {}
		http {
		  access_log off;
		  client_body_temp_path $PWD/t; proxy_temp_path $PWD/t; fastcgi_temp_path $PWD/t;
		  uwsgi_temp_path $PWD/t; scgi_temp_path $PWD/t;
		  server { listen 127.0.0.1:8091; root $PWD/www; }
		}
	EOF
	nginx -p "$PWD" -c "$PWD/nginx.conf" >"$work/log" 2>&1 &
	pid=$!
	listening 8091 && wrk -t1 -c16 "-d${seconds}s" http://127.0.0.1:8091/ 2>/dev/null |
		awk '/^Requests\/sec/ { print $2 }' | rate
	kill "$pid"
	wait "$pid" 2>/dev/null
}

row_pgbench() {
	local bin
	bin=$(echo /usr/lib/postgresql/*/bin)
	chown nobody . && chmod 755 .. || return
	setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$PWD" bash -c '
		bin=$1
		"$bin/initdb" -D data -A trust --no-sync && echo "unix_socket_directories = '"'$PWD'"'
			listen_addresses = '"''"'" >>data/postgresql.conf &&
			"$bin/pg_ctl" -D data -w -l log start && "$bin/pgbench" -h "$PWD" -i -s 2 postgres
		' bash "$bin" >"$work/log" 2>&1 || return
	setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$PWD" \
		pgbench -h "$PWD" -c 4 -T "$seconds" postgres 2>/dev/null |
		awk '/^tps/ { print $3 }' | rate
	setpriv --reuid=65534 --regid=65534 --clear-groups "$bin/pg_ctl" -D data -m immediate stop \
		>/dev/null
}

row_sqlite() {
	cat >insert.py <<-'EOF'
		import sqlite3
		db = sqlite3.connect("db")
		db.execute("create table t (a integer primary key, b text)")
		for i in range(300):
		    with db:
		        db.executemany("insert into t (b) values (?)", [("x" * 50,)] * 20)
	EOF
	timed 6000 python3 insert.py
}

row_fio() {
	[ -n "${DISK:-}" ] || return
	fio --name=x --filename="$DISK" --readonly --rw="$1" --bs="$2" --size=256M --ioengine=psync \
		--direct="$3" --time_based --runtime="$seconds" --output-format=terse --terse-version=3 \
		2>/dev/null | awk -F';' '{ print $8 }' | rate
}

row_fio_random() { row_fio randread 4k 1; }
row_fio_sequential() { row_fio read 128k 1; }

row_tar_gzip() {
	timed 1 sh -c 'tar -cf - -C /usr/lib/python3 . | gzip -1 >/dev/null'
}

row_hackbench() {
	timed 1 hackbench -g 4 -l 200
}

row_messaging() {
	timed 1 perf bench sched messaging -g 4 -l 200
}

events() {
	sysbench "$@" --time="$seconds" run 2>/dev/null | awk '
		/events per second|total number of events/ && !rate { rate = $NF }
		/total number of events/ && !/second/ { total = $NF }
		/total time:/ { sub("s", "", $NF); if (!rate || total) rate = total / $NF }
		END { print rate }' | rate
}

row_sysbench_cpu() { events cpu; }
row_sysbench_memory() { events memory --memory-total-size=1000T; }
row_sysbench_threads() { events threads --threads=8; }

row_openssl() {
	openssl speed -elapsed -seconds 1 -bytes 1024 -evp aes-128-gcm 2>/dev/null |
		awk 'toupper($1) == "AES-128-GCM" { sub("k", "", $2); print $2 * 1000 / 1024 }' | rate
}

row_simd() {
	python3 -c '
import sys
w = h = 1200
out = bytearray(b"P6\n%d %d\n255\n" % (w, h))
for y in range(h):
    out += bytes((x * y >> 3 ^ x * c) & 255 for x in range(w) for c in (1, 2, 3))
sys.stdout.buffer.write(out)' >in.ppm || return
	timed 1 cwebp -quiet -q 80 in.ppm -o out.webp
}

[ $# -eq 0 ] || rows=("$@")
mkdir -p "$work"
for row in "${rows[@]}"; do
	mkdir -p "$work/$row"
	# In a shell of its own: what it leaves goes with it.
	value=$(cd "$work/$row" && "row_$row" 2>/dev/null)
	[[ $value =~ ^[0-9]+$ ]] && echo "$row $value"
	rm -rf "${work:?}/$row"
done
exit 0
