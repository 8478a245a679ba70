/* SPDX-License-Identifier: MIT */
/* Versions of releases: one to four decimal numbers with dots between. */
#ifndef COMMON_RELEASE_VERSION_H
#define COMMON_RELEASE_VERSION_H

#include <stdbool.h>

#define VERSION_MAX_LEN 31

bool version_is_valid(const char *s);
/* As strcmp, number by number; "1.2" equals "1.2.0". Text that is no version
 * counts as older than every version. */
int version_compare(const char *a, const char *b);

#endif
