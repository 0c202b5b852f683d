# SPDX-License-Identifier: MIT
# make bench: the figures, into a table on stdout and raw into build/bench/figures.tsv.
# bench/bench.sh tells what ROUNDS=, PARTS=, ROWS=, PEERS= and CPU= do.

BENCH_SRC := $(wildcard bench/micro/*.c)

# What lies in this folder is the root of the guest that runs it.
build/bench/root/micro: $(BENCH_SRC) bench/micro/micro.h
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE= -I. $(WARN) -O2 -static -pthread -o $@ $(BENCH_SRC)

# The shell of the row that starts one.
build/bench/root/busybox: /usr/bin/busybox
	@mkdir -p $(@D)
	cp $< $@

# Both ends of a network.
build/bench/net: bench/io/net.c
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -D_GNU_SOURCE= -I. $(WARN) -O2 -static -o $@ $<

.PHONY: bench micro
micro: build/bench/root/micro build/bench/root/busybox build/bench/net
bench: all kernel micro debian | build/deps-bench.mk
	@bench/bench.sh
