# SPDX-License-Identifier: MIT
# Unit tests (cmocka) under ASan and UBSan; a new test/unit/test_x.c needs no line
# here. Each links, from an archive of all of Lucid but main(), what it uses.

UNIT_CFLAGS := -std=gnu17 -D_GNU_SOURCE= -I. -Wall -Wextra -Werror -O1 -g \
	-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
UNIT_LIBS := -lcmocka -luring -lseccomp -ljansson -lhttp_parser
UNIT_SRC := $(filter-out cli/main.c,$(wildcard base/*.c device/*.c serve/*.c space/*.c api/*.c \
	monitor/*.c cli/*.c)) \
	test/unit/rig.c
UNIT_OBJ := $(UNIT_SRC:%.c=build/unit/obj/%.o)
UNIT_TESTS := $(patsubst test/unit/%.c,build/unit/%,$(wildcard test/unit/test_*.c))

.PHONY: unit
unit: $(UNIT_TESTS)
	@failed=; for t in $(UNIT_TESTS); do $$t || failed="$$failed $${t##*/}"; done; \
	if [ -n "$$failed" ]; then echo "unit tests failed:$$failed"; exit 1; fi

build/unit/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_CFLAGS) -MMD -MP -c -o $@ $<

build/unit/liblucid.a: $(UNIT_OBJ)
	@rm -f $@
	@$(AR) rcs $@ $^

build/unit/test_%: build/unit/obj/test/unit/test_%.o build/unit/liblucid.a
	$(CC) $(UNIT_CFLAGS) -o $@ $^ $(UNIT_LIBS)

# Kept, so that a change of one file does not build all again.
.SECONDARY: $(UNIT_TESTS:build/unit/%=build/unit/obj/test/unit/%.o)

-include $(UNIT_OBJ:.o=.d) $(UNIT_TESTS:build/unit/%=build/unit/obj/test/unit/%.d)
