/* SPDX-License-Identifier: MIT */
/*
 * deny CALL... -- COMMAND...: a host whose kernel has not got some system calls; each is
 * NUMBER=ERRNO. What a container's seccomp profile or an older kernel would be.
 */
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx list = seccomp_init(SCMP_ACT_ALLOW);
	int i, number, error;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (sscanf(argv[i], "%d=%d", &number, &error) != 2 ||
			seccomp_rule_add(list, SCMP_ACT_ERRNO((unsigned)error), number, 0) < 0)
			return 2;
	if (i + 1 >= argc || seccomp_load(list) < 0)
		return 2;
	execvp(argv[i + 1], argv + i + 1);
	perror(argv[i + 1]);
	return 2;
}
