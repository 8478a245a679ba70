/* SPDX-License-Identifier: MIT */
/* One file adapted in a private folder: what both fuzzers do. */
#ifndef TESTS_FUZZ_ADAPT_STAGE_H
#define TESTS_FUZZ_ADAPT_STAGE_H

#include "agent/adapt/adapt.h"
#include "common/base/buf.h"

/* Stage the bytes as `at`, adapt them for a clone (`lives`: into a node that
 * has a config and a database of its own) and read what came of it into
 * `out`. Returns adapt_file's result. */
int stage_adapt(const char *at, enum file_kind kind, enum intention intention,
                bool lives, const uint8_t *data, size_t size, struct buf *out);

#endif
