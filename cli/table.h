/* SPDX-License-Identifier: MIT */
/* Tables and sizes for people. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define TABLE_COLUMNS 16

struct table {
	size_t rows, room;
	unsigned columns;
	char *(*cell)[TABLE_COLUMNS];
};

/* A row of strings, which are copied; all rows have as many. */
#define table_row(t, ...) table_add(t, (const char *const[]){__VA_ARGS__, NULL})
void table_add(struct table *t, const char *const *cells);
/* Prints to stdout, columns aligned; control characters become '?'. Frees the table. */
void table_print(struct table *t);

/* "1.5G", in text; any size. */
const char *table_size(uint64_t bytes, char text[16]);
/* "3d4h", "5m", "12s". */
const char *table_time(uint64_t seconds, char text[16]);

#endif
