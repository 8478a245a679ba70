/* SPDX-License-Identifier: MIT */
/* agent/build.c of an agent for tests: another version, the key of this build
 * folder, and with or without what came after the first release. */
#include <stddef.h>

#include "agent/build.h"
#include "test_release_key.h"

const char agent_version[] = TEST_AGENT_VERSION;
const char agent_release_key[] = TEST_RELEASE_KEY;
#if TEST_AGENT_FEATURES
const char *const agent_features[] = {"upgrade", "uninstall", NULL};
#else
const char *const agent_features[] = {NULL};
#endif
