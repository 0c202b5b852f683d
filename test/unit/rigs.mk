# SPDX-License-Identifier: MIT
# Tests that share a rig of their own. Those that run the guest's agent natively link it, but for
# what only process 1 may do.

AGENT_TEST_OBJ := $(patsubst %,build/unit/obj/guest/agent/%.o,serve exec pump command user message)

build/unit/test_agent: $(AGENT_TEST_OBJ) build/unit/obj/test/unit/agent_rig.o
build/unit/test_session: $(AGENT_TEST_OBJ) build/unit/obj/test/unit/session_rig.o
build/unit/test_blk build/unit/test_blk_file build/unit/test_blk_vhost: build/unit/obj/test/unit/blk_rig.o
build/unit/test_blk_vhost: build/unit/obj/test/unit/vhost_rig.o
build/unit/test_console build/unit/test_console_input: build/unit/obj/test/unit/console_rig.o
# These objects come after the archive that they need.
build/unit/test_agent build/unit/test_session: UNIT_LIBS += build/unit/liblucid.a
build/unit/test_blk build/unit/test_blk_file build/unit/test_blk_vhost: UNIT_LIBS += build/unit/liblucid.a
build/unit/test_console build/unit/test_console_input: UNIT_LIBS += build/unit/liblucid.a

-include $(AGENT_TEST_OBJ:.o=.d) $(wildcard build/unit/obj/test/unit/*_rig.d)
