/* SPDX-License-Identifier: MIT */
#include "base/affinity.h"

void affinity_init(struct affinity *a)
{
	a->place = 0;
	if (sched_getaffinity(0, sizeof(a->allowed), &a->allowed) < 0)
		CPU_ZERO(&a->allowed);
}

bool affinity_allows(const struct affinity *a, unsigned place)
{
	return place > 0 && place <= CPU_SETSIZE && CPU_ISSET(place - 1, &a->allowed);
}

void affinity_keep(struct affinity *a, unsigned place)
{
	cpu_set_t one;

	if (place == a->place)
		return;
	CPU_ZERO(&one);
	if (place)
		CPU_SET(place - 1, &one);
	a->place = 0;
	if (sched_setaffinity(0, sizeof(one), place ? &one : &a->allowed) == 0)
		a->place = place;
}
