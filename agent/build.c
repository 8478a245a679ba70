/* SPDX-License-Identifier: MIT */
/* The values that CMake gives to this build. */
#include "agent/build.h"

#include <stddef.h>

const char agent_version[] = OCM_VERSION;
const char agent_release_key[] = OCM_RELEASE_KEY;
const char *const agent_features[] = {"upgrade", "uninstall", NULL};
