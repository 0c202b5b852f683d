/* SPDX-License-Identifier: MIT */
/* Options of `lucid run`: values, rounding, bounds, and one line for each error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "abi/lucid.h"
#include "cli/options.h"

#define MIB (1ULL << 20)

/* Splits a command line at blanks and parses it; what is said goes to said. */
static int parse(struct options *o, const char *line, char said[512])
{
	static char copy[4096];
	static char *argv[64];
	int argc = 0, ret, fd = memfd_create("stderr", 0), old = dup(STDERR_FILENO);
	ssize_t n;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	dup2(fd, STDERR_FILENO);
	ret = options_parse(o, argc, argv);
	fflush(stderr);
	dup2(old, STDERR_FILENO);
	close(old);
	n = pread(fd, said, 511, 0);
	said[n > 0 ? n : 0] = '\0';
	close(fd);
	return ret;
}

static void good(struct options *o, const char *line)
{
	char said[512];

	assert_int_equal(parse(o, line, said), 0);
	assert_string_equal(said, "");
}

/* One line "lucid: what; what to do" that has the word in it. */
static void bad(const char *line, const char *word)
{
	struct options o;
	char said[512];

	assert_int_equal(parse(&o, line, said), -1);
	options_free(&o);
	assert_ptr_equal(strstr(said, "lucid: "), said);
	assert_non_null(strstr(said, "; "));
	assert_non_null(strstr(said, word));
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
}

static void defaults(void **state)
{
	struct options o;

	(void)state;
	good(&o, "run");
	assert_int_equal(o.vm.memory, 512 * MIB);
	assert_int_equal(o.vm.cpus, 1);
	assert_int_equal(o.vm.disks, 0);
	assert_int_equal(o.vm.timeout, 0);
	assert_null(o.vm.command.argv[0]);
	assert_null(o.vm.command.env[0]);
	assert_null(o.rootfs);
	assert_null(o.vm.console);
	options_free(&o);
}

static void command_after_options(void **state)
{
	struct options o;

	(void)state;
	good(&o, "run --cpus 1 ls --memory -la");
	assert_string_equal(o.vm.command.argv[0], "ls");
	assert_string_equal(o.vm.command.argv[1], "--memory");
	assert_string_equal(o.vm.command.argv[2], "-la");
	assert_null(o.vm.command.argv[3]);
	options_free(&o);
	good(&o, "run -- --odd");
	assert_string_equal(o.vm.command.argv[0], "--odd");
	options_free(&o);
}

static void memory(void **state)
{
	static const struct {
		const char *arg;
		uint64_t bytes;
	} cases[] = {
		{"run --memory 64M", 64 * MIB},
		{"run --memory 65M", 66 * MIB}, /* up to 2 MiB */
		{"run --memory 1g", 1024 * MIB},
		{"run --memory=65537K", 66 * MIB},
		{"run --memory 67108865", 66 * MIB},
		{"run --memory 8191G", 8191 * 1024 * MIB},
	};
	struct options o;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		good(&o, cases[i].arg);
		assert_int_equal(o.vm.memory, cases[i].bytes);
		assert_true(o.vm.memory < LUCID_DIRECT_END - LUCID_DIRECT_BASE);
		options_free(&o);
	}
	good(&o, "run --memory 64M..1G");
	assert_int_equal(o.vm.memory, 64 * MIB);
	assert_int_equal(o.vm.memory_max, 1024 * MIB);
	options_free(&o);
	good(&o, "run --memory 64M..1G --memory 128M");
	assert_int_equal(o.vm.memory_max, 0);
	options_free(&o);
	good(&o, "run --detach --tty --name a-1 --balloon auto --vsock --guard-speculation");
	assert_string_equal(o.name, "a-1");
	assert_true(o.detach && o.vm.command.tty && o.vm.balloon_auto && o.vm.vsock_outward);
	assert_true(o.vm.guard_speculation);
	options_free(&o);
	bad("run --memory 1G..64M", "ends below");
	bad("run --memory 1G..", "not a size");
	bad("run --memory ..1G", "not a size");
	bad("run --memory 1G..2G..3G", "not a size");
	bad("run --name .x", "not a name");
	bad("run --tty", "--detach");
	bad("run --balloon never", "auto or manual");
	bad("run --memory 63M", "at least 64M");
	bad("run --memory 0", "at least");
	bad("run --memory 512", "at least");
	bad("run --memory 8192G", "at most 8191G");
	bad("run --memory 99999999999999999999999G", "at most");
	bad("run --memory 18446744073709551615K", "at most");
	bad("run --memory -1", "not a size");
	bad("run --memory 12x", "not a size");
	bad("run --memory 1MM", "not a size");
	bad("run --memory M", "not a size");
	bad("run --memory=", "not a size");
}

static void machine(void **state)
{
	struct options o;

	(void)state;
	good(&o, "run --timeout 7 --kernel k --append a=b --console - --verbose --rootfs r --rw");
	assert_int_equal(o.vm.timeout, 7);
	assert_string_equal(o.vm.kernel, "k");
	assert_string_equal(o.vm.append, "a=b");
	assert_string_equal(o.vm.console, "-");
	assert_string_equal(o.rootfs, "r");
	assert_true(o.rw);
	assert_true(o.verbose);
	options_free(&o);
	bad("run --cpus 65", "1 to 64");
	bad("run --cpu-affinity x", "list of CPUs");
	bad("run --cpu-affinity 0,", "list of CPUs");
	bad("run --cpu-affinity 0-", "list of CPUs");
	bad("run --cpu-affinity 1-0", "list of CPUs");
	bad("run --cpu-affinity 1023", "may use");
	bad("run --isolation none", "give auto");
	bad("run --host-memory 1M", "at least 32M");
	bad("run --host-memory x", "not a size");
	bad("run --host-cpu 0", "number of CPUs");
	bad("run --host-cpu 0.009", "number of CPUs");
	bad("run --host-cpu 1.5x", "number of CPUs");
	bad("run --host-cpu -1", "number of CPUs");
	bad("run --host-cpu 5000", "number of CPUs");
	bad("run --host-cpu 99999999999999999999", "number of CPUs");
	good(&o, "run --host-memory 1G --host-cpu 1.5");
	assert_int_equal(o.vm.host_memory, 1 << 30);
	assert_int_equal(o.vm.host_cpu, 1500);
	options_free(&o);
	good(&o, "run --host-cpu 12.5%");
	assert_int_equal(o.vm.host_cpu, 125);
	options_free(&o);
	bad("run --cpus 0", "--cpus");
	bad("run --cpus x", "--cpus");
	bad("run --timeout 0", "--timeout");
	bad("run --timeout 1.5", "--timeout");
	bad("run --timeout 99999999999", "--timeout");
	bad("run --rw", "--rootfs");
}

static void append_bounded(void **state)
{
	char line[2048] = "run --append ";

	(void)state;
	memset(line + strlen(line), 'x', 1500);
	bad(line, "too long");
}

static void disks(void **state)
{
	char line[1024] = "run";
	struct options o;

	(void)state;
	good(&o, "run --disk a --disk b,ro --disk c,rox --disk d,e,ro");
	assert_int_equal(o.vm.disks, 4);
	assert_string_equal(o.vm.disk[0].path, "a");
	assert_false(o.vm.disk[0].read_only);
	assert_string_equal(o.vm.disk[1].path, "b");
	assert_true(o.vm.disk[1].read_only);
	assert_string_equal(o.vm.disk[2].path, "c,rox");
	assert_string_equal(o.vm.disk[3].path, "d,e");
	assert_true(o.vm.disk[3].read_only);
	options_free(&o);
	good(&o, "run --disk a,format=qcow2,ro --disk b,ro,format=raw --disk c");
	assert_string_equal(o.vm.disk[0].path, "a");
	assert_string_equal(o.vm.disk[0].format, "qcow2");
	assert_true(o.vm.disk[0].read_only);
	assert_string_equal(o.vm.disk[1].format, "raw");
	assert_true(o.vm.disk[1].read_only);
	assert_null(o.vm.disk[2].format);
	options_free(&o);
	bad("run --disk a,format=nbd", "no format is called nbd");
	bad("run --disk ,ro", "no path");
	for (int i = 0; i < VM_DISKS_MAX; i++)
		strcat(line, " --disk x");
	bad(line, "too many");
}

static void command(void **state)
{
	struct options o;

	(void)state;
	good(&o, "run --env A=1 --env B= --workdir /w --user 5 --hostname a-b.c x");
	assert_string_equal(o.vm.command.env[0], "A=1");
	assert_string_equal(o.vm.command.env[1], "B=");
	assert_null(o.vm.command.env[2]);
	assert_string_equal(o.vm.command.workdir, "/w");
	assert_string_equal(o.vm.command.hostname, "a-b.c");
	assert_int_equal(o.vm.command.uid, 5);
	assert_int_equal(o.vm.command.gid, 5);
	options_free(&o);
	good(&o, "run --user 1:0");
	assert_int_equal(o.vm.command.uid, 1);
	assert_int_equal(o.vm.command.gid, 0);
	options_free(&o);
	bad("run --env A", "NAME=VALUE");
	bad("run --env =x", "NAME=VALUE");
	bad("run --workdir here", "absolute");
	bad("run --user root", "numbers");
	bad("run --user 1:", "numbers");
	bad("run --user 1:2:3", "numbers");
	bad("run --user 4294967295", "numbers");
	bad("run --hostname a_b", "host name");
	bad("run --hostname -a", "host name");
}

static void unknown(void **state)
{
	struct options o;

	(void)state;
	bad("run --nonsense", "--nonsense");
	bad("run --nonsense=5", "--nonsense;");
	bad("run -x", "-x");
	bad("run --cpus 1 --nonsense", "--nonsense");
	bad("run --rw=5", "takes no argument");
	bad("run --memory", "--memory: needs an argument");
	good(&o, "run --help --nonsense");
	assert_true(o.help);
	options_free(&o);
}

static void networks(void **state)
{
	static const uint8_t ip4[4] = {10, 0, 0, 1}, mac[6] = {2, 0, 0, 0, 0, 0xfe};
	struct options o;

	(void)state;
	good(&o, "run");
	assert_int_equal(o.vm.nets, 1);
	assert_int_equal(o.vm.net[0].kind, VM_NET_USER);
	assert_false(o.vm.net[0].asked);
	options_free(&o);
	good(&o, "run --net none");
	assert_int_equal(o.vm.nets, 0);
	options_free(&o);
	good(&o, "run --net user,mac=02:00:00:00:00:fe --net tap=t0 "
		 "--net socket=/tmp/s,ip=10.0.0.1/24,ip=fd00::1/64,gw=10.0.0.1,dns=fd00::2");
	assert_int_equal(o.vm.nets, 3);
	assert_true(o.vm.net[0].asked);
	assert_memory_equal(o.vm.net[0].guest.mac, mac, 6);
	assert_string_equal(o.vm.net[1].name, "t0");
	assert_int_equal(o.vm.net[1].guest.flags, AGENT_NET_DHCP);
	assert_string_equal(o.vm.net[2].name, "/tmp/s");
	assert_int_equal(o.vm.net[2].guest.flags, AGENT_NET_IP4 | AGENT_NET_IP6);
	assert_memory_equal(o.vm.net[2].guest.ip4, ip4, 4);
	assert_int_equal(o.vm.net[2].guest.prefix4, 24);
	assert_int_equal(o.vm.net[2].guest.prefix6, 64);
	assert_int_equal(o.vm.net[2].guest.dns6[15], 2);
	options_free(&o);
	bad("run --net bridge", "no kind of network");
	bad("run --net tap", "no kind of network");
	bad("run --net tap=", "no kind of network");
	bad("run --net tap=abcdefghijklmnop", "at most 15");
	bad("run --net user --net user", "given twice");
	bad("run --net user --net none", "one or the other");
	bad("run --net user,ip=10.0.0.1/24", "nothing that a user network takes");
	bad("run --net tap=t0,ip=10.0.0.1", "no address with a prefix");
	bad("run --net tap=t0,ip=10.0.0.1/33", "no address with a prefix");
	bad("run --net tap=t0,gw=here", "no address");
	bad("run --net tap=t0,mac=01:00:00:00:00:00", "no hardware address");
	bad("run --net tap=t0,mac=00:00:00:00:00:00", "no hardware address");
	bad("run --net tap=t0,mac=02:00:00:00:00", "no hardware address");
	bad("run --net tap=a --net tap=b --net tap=c --net tap=d --net tap=e", "at most 4");
}

static void published_ports(void **state)
{
	struct options o;

	(void)state;
	good(&o, "run -p 8080:80 --publish 127.0.0.1:53:5353/udp -p [::1]:8080:81/tcp");
	assert_int_equal(o.vm.publishes, 3);
	assert_true(o.vm.net[0].asked);
	assert_string_equal(o.vm.publish[0].address, "");
	assert_int_equal(o.vm.publish[0].host, 8080);
	assert_int_equal(o.vm.publish[0].guest, 80);
	assert_false(o.vm.publish[0].udp);
	assert_string_equal(o.vm.publish[1].address, "127.0.0.1");
	assert_int_equal(o.vm.publish[1].guest, 5353);
	assert_true(o.vm.publish[1].udp);
	assert_string_equal(o.vm.publish[2].address, "::1");
	options_free(&o);
	bad("run -p 80", "not a port");
	bad("run -p 80:", "not a port");
	bad("run -p :80", "not a port");
	bad("run -p 0:80", "not a port");
	bad("run -p 80:65536", "not a port");
	bad("run -p 80:80/sctp", "not a port");
	bad("run -p localhost:80:80", "not a port");
	bad("run -p 80:80 -p 80:81", "given twice");
	bad("run -p 80:80 --net none", "no user network");
	bad("run -p 80:80 --net tap=t0", "no user network");
}

static void disk_limits(void **state)
{
	struct options o;

	(void)state;
	good(&o, "run --iops 500 --bandwidth 10M");
	assert_int_equal(o.vm.iops, 500);
	assert_int_equal(o.vm.bandwidth, 10 * MIB);
	options_free(&o);
	bad("run --iops 0", "not a rate");
	bad("run --iops lots", "not a rate");
	bad("run --bandwidth 1X", "not a rate");
	bad("run --bandwidth 99999999999G", "not a rate");
}

static void volumes(void **state)
{
	struct options o;

	(void)state;
	good(&o, "run -v /tmp:/mnt --volume /usr/bin:/opt/bin:ro");
	assert_int_equal(o.vm.folders, 2);
	assert_string_equal(o.vm.folder[0].path, "/tmp");
	assert_string_equal(o.vm.folder[0].guest, "/mnt");
	assert_false(o.vm.folder[0].read_only);
	assert_string_equal(o.vm.folder[1].guest, "/opt/bin");
	assert_true(o.vm.folder[1].read_only);
	options_free(&o);
	bad("run -v /tmp", "not a folder and a place");
	bad("run -v /tmp:", "not a folder and a place");
	bad("run -v /tmp:mnt", "not a folder and a place");
	bad("run -v /tmp:/", "not a folder and a place");
	bad("run -v :/mnt", "not a folder and a place");
	bad("run -v /tmp/no/such:/mnt", "No such file");
	bad("run -v /etc/passwd:/mnt", "is no folder");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(command_after_options),
		cmocka_unit_test(memory),
		cmocka_unit_test(machine),
		cmocka_unit_test(append_bounded),
		cmocka_unit_test(disks),
		cmocka_unit_test(command),
		cmocka_unit_test(unknown),
		cmocka_unit_test(networks),
		cmocka_unit_test(published_ports),
		cmocka_unit_test(disk_limits),
		cmocka_unit_test(volumes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
