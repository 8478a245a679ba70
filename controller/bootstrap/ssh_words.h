/* SPDX-License-Identifier: MIT */
/* From ssh's own words to one line that says what is wrong and what to do. */
#ifndef CONTROLLER_BOOTSTRAP_SSH_WORDS_H
#define CONTROLLER_BOOTSTRAP_SSH_WORDS_H

#include "controller/bootstrap/ssh_internal.h"

/* Why the master ended before it had logged in; never 0. */
int ssh_words_failure(struct ssh *s, struct error *e);
/* "SHA256:..." of the first key in known_hosts lines; false when none. */
bool ssh_words_fingerprint(const char *lines, char *out, size_t cap);

#endif
