/* SPDX-License-Identifier: MIT */
/* The version of this Lucid. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define LUCID_VERSION "0.1.0"

#endif
