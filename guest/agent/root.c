/* SPDX-License-Identifier: MIT */
/* File systems: the kernel's own, and the root that the host asked for. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "guest/agent/agent.h"

#define DISK "/dev/vda"
#define NEW_ROOT "/.root"
#define LOWER "/.lower"
#define UPPER "/.upper"

struct mount_entry {
	const char *type, *target, *data;
	unsigned long flags;
	bool optional;
};

/* 0 or -errno. */
static int mount_entry(const struct mount_entry *m)
{
	mkdir(m->target, 0755);
	return mount(m->type, m->target, m->type, m->flags, m->data) < 0 ? -errno : 0;
}

static int mount_entries(const struct mount_entry *m, size_t count, struct failure *f)
{
	for (; count--; m++) {
		int r = mount_entry(m);

		if (!r)
			continue;
		if (!m->optional)
			return failure_set(f, 125, "cannot mount %s on %s in the guest: %s",
				m->type, m->target, strerror(-r));
		system_log("cannot mount %s on %s: %s", m->type, m->target, strerror(-r));
	}
	return 0;
}

int root_mount_devices(struct failure *f)
{
	static const struct mount_entry m[] = {
		{"devtmpfs", "/dev", "mode=0755", MS_NOSUID, false},
		{"sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, false},
	};
	int r = mount_entries(m, sizeof(m) / sizeof(m[0]), f);
	int fd = open("/dev/null", O_RDWR);

	/* The kernel gives no standard streams where it has no console device. */
	while (fd >= 0 && fd < 2)
		fd = dup(fd);
	if (fd > 2)
		close(fd);
	return r;
}

int root_mount_rest(struct failure *f)
{
	static const struct mount_entry m[] = {
		{"proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, false},
		{"devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666", MS_NOSUID | MS_NOEXEC, true},
		{"mqueue", "/dev/mqueue", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, true},
		{"cgroup2", "/sys/fs/cgroup", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, true},
	};
	static const char *const link[][2] = {
		{"/proc/self/fd", "/dev/fd"},
		{"/proc/self/fd/0", "/dev/stdin"},
		{"/proc/self/fd/1", "/dev/stdout"},
		{"/proc/self/fd/2", "/dev/stderr"},
	};

	for (size_t i = 0; i < sizeof(link) / sizeof(link[0]); i++)
		if (symlink(link[i][0], link[i][1]) < 0 && errno != EEXIST)
			system_log("cannot make %s: %s", link[i][1], strerror(errno));
	return mount_entries(m, sizeof(m) / sizeof(m[0]), f);
}

/* Empties a directory of the file system dev; mounts within it stay. */
static void remove_tree(int dir_fd, dev_t dev)
{
	struct dirent *entry;
	DIR *dir = fdopendir(dir_fd);

	if (!dir) {
		close(dir_fd);
		return;
	}
	while ((entry = readdir(dir))) {
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			st.st_dev != dev)
			continue;
		if (S_ISDIR(st.st_mode)) {
			int fd = openat(dir_fd, entry->d_name,
				O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			if (fd >= 0)
				remove_tree(fd, dev);
		}
		unlinkat(dir_fd, entry->d_name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
	}
	closedir(dir);
}

static int mount_disk(
	const char *target, const char *fstype, unsigned long flags, struct failure *f)
{
	int r;

	if (device_wait(DISK, f) < 0)
		return -1;
	mkdir(target, 0755);
	r = mount(DISK, target, fstype, flags, NULL);
	/* An ext4 that was not unmounted: its journal cannot be replayed on a read-only disk. */
	if (r < 0 && errno == EROFS && flags & MS_RDONLY && strcmp(fstype, "ext4") == 0)
		r = mount(DISK, target, fstype, flags, "noload");
	if (r < 0)
		return failure_set(f, 125, "cannot mount the root disk as %s in the guest: %s",
			fstype, strerror(errno));
	return 0;
}

/*
 * Mount options of a file system in memory that may use so many percent of it. The kernel knows
 * only what is there now; a machine that can grow is to have room for what it will be.
 */
static const char *in_memory(char text[64], const char *mode, uint64_t memory_max, unsigned percent)
{
	unsigned long long size = memory_max / 100 * percent;

	/* As many files as the kernel would allow for that size. */
	if (memory_max)
		snprintf(text, 64, "mode=%s,size=%llu,nr_inodes=%llu", mode, size, size / 4096);
	else
		snprintf(text, 64, "mode=%s,size=%u%%", mode, percent);
	return text;
}

static int mount_overlay(uint64_t memory_max, struct failure *f)
{
	char size[64];
	const char *options = "lowerdir=" LOWER ",upperdir=" UPPER "/upper,workdir=" UPPER
			      "/work,redirect_dir=on";

	mkdir(UPPER, 0755);
	mkdir(NEW_ROOT, 0755);
	if (mount("tmpfs", UPPER, "tmpfs", 0, in_memory(size, "0755", memory_max, 80)) < 0)
		return failure_set(f, 125, "cannot mount tmpfs for the overlay in the guest: %s",
			strerror(errno));
	mkdir(UPPER "/upper", 0755);
	mkdir(UPPER "/work", 0755);
	if (mount("overlay", NEW_ROOT, "overlay", 0, options) < 0)
		return failure_set(
			f, 125, "cannot mount the overlay in the guest: %s", strerror(errno));
	/* The overlay holds both by itself. */
	umount2(UPPER, MNT_DETACH);
	umount2(LOWER, MNT_DETACH);
	return 0;
}

static int move_mount_into(const char *target, struct failure *f)
{
	char path[64];

	snprintf(path, sizeof(path), NEW_ROOT "%s", target);
	mkdir(path, 0755);
	if (mount(target, path, NULL, MS_MOVE, NULL) < 0)
		return failure_set(f, 125, "cannot move %s to the new root in the guest: %s",
			target, strerror(errno));
	return 0;
}

/* Makes what is mounted on NEW_ROOT the root, and frees the initramfs's memory. */
static int switch_root(struct failure *f)
{
	struct statfs fs;
	struct stat st;
	int old = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (old < 0 || fstat(old, &st) < 0)
		return failure_set(f, 125, "cannot open the initramfs: %s", strerror(errno));
	if (move_mount_into("/dev", f) < 0 || move_mount_into("/sys", f) < 0 ||
		move_mount_into("/proc", f) < 0)
		return -1;
	if (chdir(NEW_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
		chdir("/") < 0)
		return failure_set(
			f, 125, "cannot enter the new root in the guest: %s", strerror(errno));
	/* Whoever starts the agent on a real root by mistake keeps its files. */
	if (fstatfs(old, &fs) == 0 && (fs.f_type == RAMFS_MAGIC || fs.f_type == TMPFS_MAGIC))
		remove_tree(old, st.st_dev);
	else
		close(old);
	return 0;
}

int root_enter(uint32_t root, const char *fstype, uint64_t memory_max, struct failure *f)
{
	char own[64], shared[64];
	const char *ours = in_memory(own, "0755", memory_max, 50);
	const char *all = in_memory(shared, "1777", memory_max, 50);
	/* On a disk that is kept, /tmp is the disk's. */
	const struct mount_entry m[] = {
		{"tmpfs", "/run", ours, MS_NOSUID | MS_NODEV, true},
		{"tmpfs", "/dev/shm", all, MS_NOSUID | MS_NODEV, true},
		{"tmpfs", "/tmp", all, MS_NOSUID | MS_NODEV, true},
	};
	size_t count = root == AGENT_ROOT_RW || root == AGENT_ROOT_FOLDER ? 2 : 3;

	switch (root) {
	case AGENT_ROOT_INITRD:
		if (memory_max && mount(NULL, "/", NULL, MS_REMOUNT, ours) < 0)
			system_log("cannot enlarge the root: %s", strerror(errno));
		break;
	case AGENT_ROOT_OVERLAY:
		if (mount_disk(LOWER, fstype, MS_RDONLY, f) < 0 ||
			mount_overlay(memory_max, f) < 0 || switch_root(f) < 0)
			return -1;
		break;
	case AGENT_ROOT_RW:
		if (mount_disk(NEW_ROOT, fstype, 0, f) < 0 || switch_root(f) < 0)
			return -1;
		break;
	case AGENT_ROOT_FOLDER:
		mkdir(NEW_ROOT, 0755);
		if (mount(AGENT_FOLDER_TAG "0", NEW_ROOT, "virtiofs", MS_NODEV, NULL) < 0)
			return failure_set(f, 125, "cannot mount the root folder in the guest: %s",
				strerror(errno));
		if (switch_root(f) < 0)
			return -1;
		break;
	default:
		return failure_set(f, 125, "the agent does not know root kind %u", root);
	}
	return mount_entries(m, count, f);
}

/* Makes a folder and those above it. */
static void make_folders(const char *place)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s", place);
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	mkdir(path, 0755);
}

/* A request costs much the same for a page and for a MiB: read ahead as much as fits in one. */
static void read_far_ahead(const char *place)
{
	char path[64];
	struct stat st;
	int fd;

	if (stat(place, &st) < 0)
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev),
		minor(st.st_dev));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1024", 4) < 0)
		system_log("cannot write %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

int root_mount_folders(uint32_t root, char **folder, struct failure *f)
{
	char tag[32];

	for (unsigned i = 0; folder[2 * i]; i++) {
		unsigned long flags = MS_NOSUID | MS_NODEV;
		const char *place = folder[2 * i + 1];

		if (i == 0 && root == AGENT_ROOT_FOLDER) {
			read_far_ahead("/");
			continue;
		}
		if (strcmp(folder[2 * i], "ro") == 0)
			flags |= MS_RDONLY;
		snprintf(tag, sizeof(tag), "%s%u", AGENT_FOLDER_TAG, i);
		make_folders(place);
		if (mount(tag, place, "virtiofs", flags, NULL) < 0)
			return failure_set(f, 125, "cannot mount a folder on %s in the guest: %s",
				place, strerror(errno));
		read_far_ahead(place);
	}
	return 0;
}

static void write_if_missing(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0) {
		if (errno != EEXIST)
			system_log("cannot make %s: %s", path, strerror(errno));
		return;
	}
	if (write(fd, text, strlen(text)) < 0)
		system_log("cannot write %s: %s", path, strerror(errno));
	close(fd);
}

void root_write_files(const char *hostname)
{
	char text[256];

	mkdir("/etc", 0755);
	snprintf(text, sizeof(text), "%s\n", hostname);
	write_if_missing("/etc/hostname", text);
	snprintf(text, sizeof(text),
		"127.0.0.1 localhost %s\n::1 localhost ip6-localhost ip6-loopback\n", hostname);
	write_if_missing("/etc/hosts", text);
	write_if_missing("/etc/resolv.conf", "# No name server is set up.\n");
}
