/* SPDX-License-Identifier: MIT */
/* What a terminal obeys: control characters, also those beyond ASCII. */
#include "base/text.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of the character of UTF-8 that begins here, or 0: there is none. */
static size_t character(const unsigned char *text, size_t len)
{
	size_t n = text[0] < 0x80 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;

	if ((text[0] >= 0x80 && text[0] < 0xc2) || text[0] > 0xf4 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

/* U+0080 to U+009F do what ESC and a letter do. */
static bool is_control(const unsigned char *c)
{
	return (c[0] < ' ' && c[0] != '\t') || c[0] == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0);
}

void text_clean(char *text, size_t len)
{
	size_t n;

	for (size_t i = 0; i < len; i += n ? n : 1) {
		const unsigned char *c = (const unsigned char *)text + i;

		n = character(c, len - i);
		if (n == 0 || is_control(c))
			memset(text + i, '?', n ? n : 1);
	}
}
