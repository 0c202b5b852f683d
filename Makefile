# SPDX-License-Identifier: MIT
# Builds, runs, tests and installs Lucid; GNU make. CONTRIBUTING.md tells the rest.
#
#   make            ./lucid with the agent and the default root
#   make run        all that, the guest kernel, and a first virtual machine
#   make test       every test; make bench: the figures; make lint: the linters
#   make fuzz       looks for what breaks the monitor, SECONDS=60 for each target
#   make kernel     the guest kernel alone; make debian: a Debian 12 root
#   make install    to $(DESTDIR)$(PREFIX)
#
# Objects go under build/. A new source file in a folder of SRC needs no line here.

PREFIX ?= /usr/local
DESTDIR ?=
CC = gcc
CFLAGS = -O2 -g
# The shared liburing of Debian 12 leaves two of its functions out.
LIBS = -l:liburing.a -lseccomp -ljansson -lhttp_parser

WARN = -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE= -I. $(WARN) $(CFLAGS)

SRC := $(wildcard cli/*.c monitor/*.c api/*.c space/*.c device/*.c serve/*.c base/*.c)
OBJ := $(SRC:%.c=build/%.o)
STUB_OBJ :=
RUNTIME := build/agent.cpio build/default.cpio

.SUFFIXES:
.DELETE_ON_ERROR:
.PHONY: all kernel run test test-pku stress selftests trinity fuzz bench debian install uninstall lint clean deps FORCE
all: lucid $(RUNTIME)

# make rebuilds what it includes before all else: nothing is built without the packages.
ifneq ($(MAKECMDGOALS),clean)
include build/deps-build.mk
endif
# The parts with rules of their own: the stub (sets STUB_OBJ), the agent and the default
# root, tests and figures.
include $(wildcard stub/stub.mk guest/agent/agent.mk test/unit/*.mk fuzz/fuzz.mk guest/test/test.mk bench/bench.mk)

lucid: $(OBJ) $(STUB_OBJ)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

build/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(OBJ:.o=.d)

# Debian packages by what they are needed for; the script holds the lists.
build/deps-%.mk: tools/deps.sh
	@mkdir -p $(@D)
	@tools/deps.sh $*
	@touch $@

deps: build/deps-build.mk build/deps-kernel.mk build/deps-test.mk

# The script finds out itself whether there is anything to do, by a hash.
kernel: build/vmlinux
build/vmlinux: FORCE | build/deps-kernel.mk
	@tools/kernel.sh $@

run: all kernel
	@if [ -t 0 ]; then ./lucid run; else ./lucid run -- sh -c "$$(cat tools/tour.sh)"; fi

test: all kernel debian $(UNIT_TESTS) $(TEST_GUESTS) $(FUZZ_TARGETS) | build/deps-test.mk
	@test/run

# What runs with protection keys alone, on a CPU that QEMU emulates; no part of make test.
test-pku: all kernel $(TEST_GUESTS)
	@tools/test-pku.sh

# stress-ng with several virtual CPUs, and 500 machines that are killed; no part of make test.
stress: all kernel debian
	@tools/stress.sh
	@KILLS=500 test/run killed

# Those of the kernel's own tests that apply, on the guest; no part of make test.
selftests: all kernel debian | build/deps-selftests.mk
	@tools/selftests.sh run build/selftests

# Random system calls of an unprivileged user, ten minutes; no part of make test.
trinity: all kernel debian | build/deps-selftests.mk
	@tools/trinity.sh

debian: build/debian.erofs
build/debian.erofs: FORCE | build/deps-test.mk
	@tools/debian.sh $@

install: all kernel
	install -D -m 755 lucid $(DESTDIR)$(PREFIX)/bin/lucid
	install -d $(DESTDIR)$(PREFIX)/lib/lucid
	install -m 644 build/vmlinux $(RUNTIME) $(DESTDIR)$(PREFIX)/lib/lucid
	install -D -m 644 man/lucid.1 $(DESTDIR)$(PREFIX)/share/man/man1/lucid.1
	install -D -m 644 docs/openapi.yaml $(DESTDIR)$(PREFIX)/share/doc/lucid/openapi.yaml

uninstall:
	rm -rf $(DESTDIR)$(PREFIX)/bin/lucid $(DESTDIR)$(PREFIX)/lib/lucid
	rm -f $(DESTDIR)$(PREFIX)/share/man/man1/lucid.1
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/lucid

lint:
	@tools/lint.sh

clean:
	rm -rf build lucid
