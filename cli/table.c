/* SPDX-License-Identifier: MIT */
/* Columns as wide as what is in them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "cli/table.h"

static void *must(void *memory)
{
	if (!memory)
		log_bug("out of memory for a table");
	return memory;
}

static char *clean_copy(const char *s)
{
	char *copy = must(strdup(s));

	text_clean(copy, strlen(copy));
	for (char *c = copy; *c; c++)
		if (*c == '\t') /* would move what stands after it */
			*c = '?';
	return copy;
}

void table_add(struct table *t, const char *const *cells)
{
	if (t->rows == t->room) {
		t->room = 2 * t->room + 16;
		t->cell = must(reallocarray(t->cell, t->room, sizeof(*t->cell)));
	}
	t->columns = 0;
	for (; *cells && t->columns < TABLE_COLUMNS; cells++)
		t->cell[t->rows][t->columns++] = clean_copy(*cells);
	t->rows++;
}

void table_print(struct table *t)
{
	size_t width[TABLE_COLUMNS] = {0};

	for (size_t r = 0; r < t->rows; r++)
		for (unsigned c = 0; c < t->columns; c++)
			if (strlen(t->cell[r][c]) > width[c])
				width[c] = strlen(t->cell[r][c]);
	for (size_t r = 0; r < t->rows; r++) {
		for (unsigned c = 0; c < t->columns; c++) {
			int pad = c + 1 < t->columns ? (int)width[c] + 2 : 0;

			printf("%-*s", pad, t->cell[r][c]);
			free(t->cell[r][c]);
		}
		putchar('\n');
	}
	free(t->cell);
	*t = (struct table){0};
}

const char *table_size(uint64_t bytes, char text[16])
{
	static const char units[] = "BKMGTPE";
	double n = (double)bytes;
	unsigned u = 0;

	while (n >= 1024 && u + 1 < sizeof(units) - 1) {
		n /= 1024;
		u++;
	}
	snprintf(text, 16, n < 10 && u > 0 ? "%.1f%c" : "%.0f%c", n, units[u]);
	return text;
}

const char *table_time(uint64_t s, char text[16])
{
	if (s < 60)
		snprintf(text, 16, "%us", (unsigned)s);
	else if (s < 3600)
		snprintf(text, 16, "%um%us", (unsigned)(s / 60), (unsigned)(s % 60));
	else if (s < 86400)
		snprintf(text, 16, "%uh%um", (unsigned)(s / 3600), (unsigned)(s % 3600 / 60));
	else
		snprintf(text, 16, "%ud%uh", (unsigned)(s / 86400), (unsigned)(s % 86400 / 3600));
	return text;
}
