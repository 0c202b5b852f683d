# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The control socket answers what docs/openapi.yaml says, to what it describes and what not.
. "$TREE/test/system/lib.sh"

spec=$(dirname "$LUCID")/../share/doc/lucid/openapi.yaml
# It takes its time to end.
run "$LUCID" run --detach --memory 64M --name api -- sh -c 'trap "" TERM; while :; do sleep 0.1; done' \
	</dev/null
check 'a machine' both 0 api
run /usr/bin/python3 "$TREE/test/system/openapi.py" "$spec" "$XDG_RUNTIME_DIR/lucid/api/control"
sed 's/^/# /' "$TMP/out"
check 'what it answers is what is described, all of it' status_is 0
check 'and it is gone after the last request' soon [ ! -e "$XDG_RUNTIME_DIR/lucid/api" ]
finish
