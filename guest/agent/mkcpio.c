/* SPDX-License-Identifier: MIT */
/*
 * Writes an initramfs (cpio, "newc") from a list, so that device nodes need no root and the
 * result depends on nothing but the list and the files: mkcpio LIST > archive
 *
 *	dir PATH MODE
 *	file PATH MODE SOURCE
 *	link PATH TARGET
 *	char PATH MODE MAJOR MINOR
 *
 * Owner is root, times are 0. Parents come before what is in them.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FIELDS 5

static unsigned number; /* of the entry, its inode number too */

static void pad(size_t written)
{
	static const char zero[4];

	fwrite(zero, 1, -written & 3, stdout);
}

static void put(const char *path, unsigned mode, unsigned major, unsigned minor, const void *data,
	size_t size)
{
	size_t name;
	int n;

	/* Names in the archive are relative to the root. */
	path += *path == '/';
	name = strlen(path) + 1;
	n = printf("070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", number++, mode,
		0, 0, S_ISDIR(mode) ? 2 : 1, 0, size, 0, 0, major, minor, name, 0);
	fwrite(path, 1, name, stdout);
	pad(n + name);
	fwrite(data, 1, size, stdout);
	pad(size);
}

static void put_file(const char *path, unsigned mode, const char *source)
{
	FILE *f = fopen(source, "rb");
	struct stat st;
	char *data;

	if (!f || fstat(fileno(f), &st) < 0)
		err(1, "%s", source);
	data = malloc(st.st_size + 1);
	if (!data || fread(data, 1, st.st_size, f) != (size_t)st.st_size)
		err(1, "%s", source);
	put(path, S_IFREG | mode, 0, 0, data, st.st_size);
	free(data);
	fclose(f);
}

static void put_line(char *line, const char *list, unsigned line_number)
{
	char *field[FIELDS], *save;
	unsigned n = 0, mode;

	for (char *s = strtok_r(line, " \t\n", &save); s && n < FIELDS;
		s = strtok_r(NULL, " \t\n", &save))
		field[n++] = s;
	if (n == 0 || field[0][0] == '#')
		return;
	mode = n > 2 ? strtoul(field[2], NULL, 8) : 0;
	if (n == 3 && strcmp(field[0], "dir") == 0)
		put(field[1], S_IFDIR | mode, 0, 0, "", 0);
	else if (n == 4 && strcmp(field[0], "file") == 0)
		put_file(field[1], mode, field[3]);
	else if (n == 3 && strcmp(field[0], "link") == 0)
		put(field[1], S_IFLNK | 0777, 0, 0, field[2], strlen(field[2]));
	else if (n == 5 && strcmp(field[0], "char") == 0)
		put(field[1], S_IFCHR | mode, atoi(field[3]), atoi(field[4]), "", 0);
	else
		errx(1, "%s:%u: not an entry", list, line_number);
}

int main(int argc, char **argv)
{
	char line[1024];
	unsigned n = 0;
	FILE *f;

	if (argc != 2)
		errx(2, "usage: mkcpio LIST > archive");
	f = fopen(argv[1], "r");
	if (!f)
		err(1, "%s", argv[1]);
	while (fgets(line, sizeof(line), f))
		put_line(line, argv[1], ++n);
	fclose(f);
	put("TRAILER!!!", 0, 0, 0, "", 0);
	if (fflush(stdout) || ferror(stdout))
		err(1, "stdout");
	return 0;
}
