/* SPDX-License-Identifier: MIT */
/* Who runs the command, by the root's own /etc/passwd and /etc/group, and in what environment. */
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/agent/agent.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DEFAULTS 8

static void find_passwd(struct user *u, uid_t uid, const char *path)
{
	struct passwd *entry;
	FILE *f = fopen(path, "re");

	if (!f)
		return;
	while ((entry = fgetpwent(f)) && entry->pw_uid != uid)
		;
	if (entry) {
		snprintf(u->name, sizeof(u->name), "%s", entry->pw_name);
		snprintf(u->home, sizeof(u->home), "%s", entry->pw_dir);
		snprintf(u->shell, sizeof(u->shell), "%s", entry->pw_shell);
	}
	fclose(f);
}

static void find_groups(struct user *u, const char *path)
{
	struct group *entry;
	FILE *f;

	if (!u->name[0])
		return;
	f = fopen(path, "re");
	if (!f)
		return;
	while (u->group_count < USER_GROUPS_MAX && (entry = fgetgrent(f))) {
		if (entry->gr_gid == u->groups[0])
			continue;
		for (char **member = entry->gr_mem; *member; member++) {
			if (strcmp(*member, u->name) == 0) {
				u->groups[u->group_count++] = entry->gr_gid;
				break;
			}
		}
	}
	fclose(f);
}

void user_find(struct user *u, uid_t uid, gid_t gid, const char *passwd, const char *group)
{
	memset(u, 0, sizeof(*u));
	u->groups[u->group_count++] = gid;
	find_passwd(u, uid, passwd);
	find_groups(u, group);
	if (!u->name[0] && uid == 0)
		strcpy(u->name, "root");
	if (!u->home[0])
		strcpy(u->home, uid == 0 ? "/root" : "/");
	if (!u->shell[0])
		strcpy(u->shell, "/bin/sh");
}

static bool is_set(char **env, const char *key)
{
	size_t n = strlen(key);

	for (; *env; env++)
		if (strncmp(*env, key, n) == 0 && (*env)[n] == '=')
			return true;
	return false;
}

char **user_environment(const struct user *u, char **env, bool tty)
{
	const struct {
		const char *key, *value;
	} defaults[DEFAULTS] = {
		{"PATH", DEFAULT_PATH},
		{"HOME", u->home},
		{"USER", u->name},
		{"LOGNAME", u->name},
		{"SHELL", u->shell},
		{"LANG", "C.UTF-8"},
		{"TERM", tty ? "linux" : "dumb"},
	};
	size_t count = 0, n = 0;
	char **result;

	while (env[count])
		count++;
	result = calloc(count + DEFAULTS + 1, sizeof(*result));
	if (!result)
		return NULL;
	for (size_t i = 0; i < DEFAULTS; i++) {
		const char *value = defaults[i].value;

		if (!value || !value[0] || is_set(env, defaults[i].key))
			continue;
		if (asprintf(&result[n], "%s=%s", defaults[i].key, value) >= 0)
			n++;
	}
	memcpy(result + n, env, count * sizeof(*env));
	result[n + count] = NULL;
	return result;
}
