/* SPDX-License-Identifier: MIT */
/* What a machine answers on its control socket; docs/openapi.yaml describes it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/agent.h"
#include "api/server.h"
#include "base/log.h"
#include "base/version.h"
#include "monitor/figures.h"
#include "monitor/machine.h"
#include "monitor/memory.h"
#include "monitor/relay.h"
#include "monitor/session.h"

static const char *state_name(const struct machine *m)
{
	if (m->stopping || m->end != END_NONE || m->status >= 0)
		return "ending";
	if (m->paused)
		return "paused";
	return session_running(m->session) ? "running" : "starting";
}

static bool is_ending(const struct machine *m, struct api_reply *reply)
{
	if (strcmp(state_name(m), "ending") != 0)
		return false;
	api_refuse(reply, 409, "the machine is ending");
	return true;
}

/* For what only a guest that runs can do. */
static bool is_still(const struct machine *m, struct api_reply *reply)
{
	if (is_ending(m, reply))
		return true;
	if (m->paused)
		api_refuse(reply, 409, "the machine is paused; resume it first");
	return m->paused;
}

static json_t *strings(char *const *list)
{
	json_t *all = json_array();

	/* What is no UTF-8 cannot be told in JSON. */
	for (; list && *list; list++)
		if (json_array_append_new(all, json_string(*list)) < 0)
			json_array_append_new(all, json_string("?"));
	return all;
}

/* What keeps its programs from its kernel. */
static const char *isolation_name(const struct machine *m)
{
	if (m->features & LUCID_FEATURE_SPLIT)
		return "split";
	return m->features & LUCID_FEATURE_PKU ? "unified" : "none";
}

/* What does not change in a machine's life. */
static json_t *fixed(const struct machine *m)
{
	const struct vm_config *c = m->config;
	json_t *disks = json_array();

	for (unsigned i = 0; i < c->disks; i++) {
		json_t *path = json_string(c->disk[i].path);

		json_array_append_new(
			disks, json_pack("{s:o, s:b}", "path", path ? path : json_string("?"),
				       "read_only", c->disk[i].read_only));
	}
	return json_pack("{s:s, s:i, s:s, s:i, s:I, s:I, s:I, s:i, s:s, s:b, s:b, s:o, s:o}",
		"name", c->claim->name, "pid", (int)getpid(), "version", LUCID_VERSION, "streams",
		AGENT_VERSION, "started", (json_int_t)m->started, "memory", (json_int_t)c->memory,
		"memory_max", (json_int_t)memory_max(m->memory), "cpus", (int)c->cpus, "isolation",
		isolation_name(m), "detached", c->log != NULL, "tty", c->command.tty, "command",
		strings(c->command.argv), "disks", disks);
}

static void get_machine(void *arg, const json_t *body, struct api_reply *reply)
{
	struct machine *m = arg;

	(void)body;
	reply->json = fixed(m);
	json_object_set_new(reply->json, "state", json_string(state_name(m)));
	json_object_set_new(reply->json, "memory", json_integer((json_int_t)memory_now(m->memory)));
	json_object_set_new(
		reply->json, "memory_host", json_integer((json_int_t)ram_committed(&m->ram)));
}

static void answer_memory(const struct machine *m, struct api_reply *reply)
{
	reply->json = json_pack("{s:I, s:I, s:I, s:I, s:I}", "now",
		(json_int_t)memory_now(m->memory), "target", (json_int_t)memory_target(m->memory),
		"boot", (json_int_t)m->config->memory, "max", (json_int_t)memory_max(m->memory),
		"host", (json_int_t)ram_committed(&m->ram));
}

static void get_memory(void *arg, const json_t *body, struct api_reply *reply)
{
	(void)body;
	answer_memory(arg, reply);
}

static void post_memory(void *arg, const json_t *body, struct api_reply *reply)
{
	struct machine *m = arg;
	const json_t *target = json_object_get(body, "target");

	if (!json_is_integer(target) || json_integer_value(target) < 0) {
		api_refuse(reply, 400, "give {\"target\": bytes}");
	} else if (is_still(m, reply)) {
		return;
	} else if (memory_set(m->memory, (uint64_t)json_integer_value(target)) < 0) {
		api_refuse(reply, 409, "it can have from %lluM to %lluM",
			(unsigned long long)(MEMORY_LEAST >> 20),
			(unsigned long long)(memory_max(m->memory) >> 20));
	} else {
		answer_memory(m, reply);
	}
}

static void get_stats(void *arg, const json_t *body, struct api_reply *reply)
{
	struct machine *m = arg;

	(void)body;
	reply->json = figures_json(m);
	json_object_set_new(reply->json, "name", json_string(m->config->claim->name));
	json_object_set_new(reply->json, "state", json_string(state_name(m)));
}

static void get_metrics(void *arg, const json_t *body, struct api_reply *reply)
{
	(void)body;
	reply->text = figures_text(arg);
	if (!reply->text)
		api_refuse(reply, 500, "out of memory");
}

static void post_stop(void *arg, const json_t *body, struct api_reply *reply)
{
	struct machine *m = arg;

	(void)body;
	if (is_still(m, reply))
		return;
	reply->status = 202;
	machine_power_off(m);
}

static void set_paused(struct machine *m, bool paused, struct api_reply *reply)
{
	int err;

	if (is_ending(m, reply))
		return;
	if (m->paused == paused) {
		api_refuse(
			reply, 409, "the machine is %s", paused ? "paused already" : "not paused");
		return;
	}
	err = paused ? machine_pause(m) : machine_resume(m);
	if (err)
		api_refuse(reply, 500, "cannot %s it: %s", paused ? "pause" : "resume",
			strerror(-err));
	else
		m->paused = paused;
}

static void post_pause(void *arg, const json_t *body, struct api_reply *reply)
{
	(void)body;
	set_paused(arg, true, reply);
}

static void post_resume(void *arg, const json_t *body, struct api_reply *reply)
{
	(void)body;
	set_paused(arg, false, reply);
}

static void post_kill(void *arg, const json_t *body, struct api_reply *reply)
{
	struct machine *m = arg;

	(void)body;
	reply->status = 202;
	if (m->status < 0)
		m->status = 128 + SIGKILL;
	machine_kill(m);
}

static void upgrade_attach(void *arg, int fd)
{
	struct machine *m = arg;

	relay_attach(m->relay, fd);
}

static void post_attach(void *arg, const json_t *body, struct api_reply *reply)
{
	struct machine *m = arg;

	(void)body;
	if (!m->relay) {
		api_refuse(reply, 409,
			"the machine is not detached: whoever started it has its streams");
	} else if (!is_ending(m, reply)) {
		reply->status = 101;
		reply->upgrade = upgrade_attach;
	}
}

static const struct api_route routes[] = {
	{"GET", "/v1/machine", get_machine},
	{"GET", "/v1/stats", get_stats},
	{"GET", "/metrics", get_metrics},
	{"GET", "/v1/memory", get_memory},
	{"POST", "/v1/memory", post_memory},
	{"POST", "/v1/pause", post_pause},
	{"POST", "/v1/resume", post_resume},
	{"POST", "/v1/stop", post_stop},
	{"POST", "/v1/kill", post_kill},
	{"POST", "/v1/attach", post_attach},
	{0},
};

static int write_info(struct machine *m)
{
	json_t *info = fixed(m);
	char *text = json_dumps(info, JSON_INDENT(2));
	int r = text ? rundir_write(m->config->claim, RUNDIR_INFO, text) : -ENOMEM;

	free(text);
	json_decref(info);
	return r;
}

int machine_api_open(struct machine *m)
{
	const struct rundir_claim *claim = m->config->claim;
	int listener, r;

	if (!claim)
		return 0;
	r = write_info(m);
	listener = r < 0 ? r : api_listen(claim->dir, RUNDIR_CONTROL);
	if (listener >= 0) {
		m->api = api_server_create(m->loop, listener, routes, m);
		r = m->api ? 0 : -errno;
	} else {
		r = listener;
	}
	if (r < 0)
		log_error("control socket in %s: %s; set XDG_RUNTIME_DIR to a directory of your "
			  "own",
			claim->path, strerror(-r));
	return r < 0 ? -1 : 0;
}

void machine_api_close(struct machine *m)
{
	api_server_destroy(m->api);
	m->api = NULL;
}
