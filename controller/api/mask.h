/* SPDX-License-Identifier: MIT */
/* What is a secret, judged by the name it stands under or by its looks, where
 * people see contents of files. */
#ifndef CONTROLLER_API_MASK_H
#define CONTROLLER_API_MASK_H

#include <stdbool.h>

#define MASK_TEXT "(hidden)"

/* "botToken", "OPENAI_API_KEY", "password", ... */
bool mask_is_secret_key(const char *key);
/* A value that gives itself away: known prefixes, a private key, a URL with a
 * password, a long run without a word in it. */
bool mask_looks_secret(const char *value);
/* A line of a text or env file for people: the value of a secret key and
 * whatever looks like a secret is replaced; control bytes are escaped, a long
 * line is cut. Caller frees. */
char *mask_line(const char *line);

#endif
