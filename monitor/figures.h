/* SPDX-License-Identifier: MIT */
/* What a machine has done and uses, in figures: for `lucid stats` and for Prometheus. */
#ifndef MONITOR_FIGURES_H
#define MONITOR_FIGURES_H

#include <jansson.h>

#include "monitor/machine.h"

/* All figures, as docs/openapi.yaml describes them; NULL without memory. */
json_t *figures_json(struct machine *m);
/* The same in Prometheus's text format, to be freed; NULL without memory. */
char *figures_text(struct machine *m);

#endif
