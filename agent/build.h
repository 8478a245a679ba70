/* SPDX-License-Identifier: MIT */
/* What this very binary is: set when it is built, changed by nothing else. A
 * file of its own, so that a test can link an agent of another version. */
#ifndef AGENT_BUILD_H
#define AGENT_BUILD_H

extern const char agent_version[];
/* Public half of the release key, hex: CMake's OCM_RELEASE_KEY. */
extern const char agent_release_key[];
/* PROTOCOL.md, "Versions and features"; NULL-ended. What is not in it is not
 * served. */
extern const char *const agent_features[];

#endif
