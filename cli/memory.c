/* SPDX-License-Identifier: MIT */
/* lucid memory: how much a machine has, and shall have. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/targets.h"

/* A guest that can, comes to a new size within this time. */
#define WAIT_SECONDS 10
#define POLL_NS 50000000
/* What a guest may keep in blocks that it cannot free whole. */
#define SLACK (4ULL << 20)

static uint64_t number(const json_t *j, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(j, key));
}

static bool ask(struct api_call *call, const char *name, uint64_t *now, uint64_t *target)
{
	if (!api_call(call, name, "GET", "/v1/memory", NULL)) {
		log_error("%s", call->error);
		return false;
	}
	*now = number(call->json, "now");
	*target = number(call->json, "target");
	return true;
}

static int show(const char *name)
{
	char now[16], target[16], max[16], host[16];
	struct api_call call;
	uint64_t n, t;

	if (!ask(&call, name, &n, &t)) {
		api_call_clear(&call);
		return EXIT_LUCID;
	}
	printf("now %s, target %s, at most %s, on the host %s\n", table_size(n, now),
		table_size(t, target), table_size(number(call.json, "max"), max),
		table_size(number(call.json, "host"), host));
	api_call_clear(&call);
	return 0;
}

static bool there(uint64_t now, uint64_t target)
{
	return now == target || (now > target && now - target <= SLACK);
}

static int set(const char *name, uint64_t size, bool wait)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	json_t *body = json_pack("{s:I}", "target", (json_int_t)size);
	char now[16], target[16];
	struct api_call call;
	bool ok = api_call(&call, name, "POST", "/v1/memory", body);
	uint64_t n = 0, t = 1;

	if (!ok)
		log_error("%s", call.error);
	json_decref(body);
	api_call_clear(&call);
	for (long i = 0; ok && wait && !there(n, t) && i < WAIT_SECONDS * 1000000000L / POLL_NS;
		i++) {
		ok = ask(&call, name, &n, &t);
		api_call_clear(&call);
		nanosleep(&pause, NULL);
	}
	if (!ok)
		return EXIT_LUCID;
	if (!wait || there(n, t))
		return 0;
	log_error("%s: has %s and cannot come to %s now; the guest needs what it has", name,
		table_size(n, now), table_size(t, target));
	return EXIT_LUCID;
}

static int memory_main(int argc, char **argv)
{
	bool no_wait = false;
	const struct target_option options[] = {{.name = "no-wait", .flag = &no_wait}, {0}};
	struct targets t;
	uint64_t size;
	char **rest;
	int status = targets_parse(&t, &verb_memory, TARGETS_ONE, options, argc, argv, &rest);

	if (status < 0 && !rest[0]) {
		status = show(t.name[0]);
	} else if (status < 0 && rest[1]) {
		log_error("%s: one size is enough; see `lucid memory --help`", rest[1]);
		status = EXIT_LUCID;
	} else if (status < 0) {
		status = options_parse_size(rest[0], &size) < 0 ? EXIT_LUCID
								: set(t.name[0], size, !no_wait);
	}
	targets_free(&t);
	return status;
}

const struct verb verb_memory = {
	.name = "memory",
	.summary = "show or change how much memory a machine has",
	.help = "Usage: lucid memory [--no-wait] NAME [SIZE]\n"
		"\n"
		"Shows how much memory a machine has, or gives it another size: less than it "
		"began\n"
		"with, or up to the MAX of --memory MIN..MAX. Returns when the guest has come to "
		"it;\n"
		"fails if it has not within 10 seconds, but the target stays.\n"
		"\n"
		"  --no-wait   return at once\n"
		"  --help      this text\n",
	.main = memory_main,
};
