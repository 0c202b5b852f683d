# SPDX-License-Identifier: MIT
# The tests that run the guest's agent natively link it, but for what only process 1 may do.

AGENT_TEST_OBJ := $(patsubst %,build/unit/obj/guest/agent/%.o,serve exec pump command user message)

build/unit/test_agent: $(AGENT_TEST_OBJ)
build/unit/test_session: $(AGENT_TEST_OBJ) build/unit/obj/test/unit/session_rig.o
# These objects come after the archive that they need.
build/unit/test_agent build/unit/test_session: UNIT_LIBS += build/unit/liblucid.a

-include $(AGENT_TEST_OBJ:.o=.d) build/unit/obj/test/unit/session_rig.d
