/* SPDX-License-Identifier: MIT */
/* What the keys of OpenClaw's configuration mean to an adaptation: paths,
 * programs, ports, URL paths, secrets, and values that belong to a node.
 * Measured against the schema of 2026.9.6 and the spellings of 2026.2. Paths
 * of values are those of agent/adapt/docs/doc.h. */
#ifndef AGENT_ADAPT_KEYS_H
#define AGENT_ADAPT_KEYS_H

#include <stdbool.h>
#include <stddef.h>

/* The value is a file or folder. */
bool keys_is_path(const char *path);
/* A file that is written there: its folder must exist, not itself. */
bool keys_is_output(const char *path);
/* The value is a program. */
bool keys_is_program(const char *path);
/* "/hooks" and the like: a path of a URL, never of the file system. */
bool keys_is_url_path(const char *path);
/* A number that is the port of this gateway or derived from it. */
bool keys_is_own_port(const char *path);
/* A port that is listened on. */
bool keys_is_listen_port(const char *path);
/* The value is a secret: by the schema, or by the name of its last key.
 * `text` is looked at only to let plain paths of env tables be seen. */
bool keys_is_secret(const char *path, const char *key, const char *text);
/* Does a name ("apiKey", "TELEGRAM_BOT_TOKEN") say that it holds a secret? */
bool keys_name_is_secret(const char *name);

/* Does free text (a command, a prompt) seem to hold one: "--token=...",
 * "Bearer ...", "https://user:password@..."? */
bool keys_text_has_secret(const char *text);

/* Values that belong to a node: a clone or move keeps the target's. */
extern const char *const keys_node_owned[];
extern const size_t keys_node_owned_len;
/* Is `path` one of those or below one? */
bool keys_is_node_owned(const char *path);

/* Environment variables that belong to a node. */
bool keys_env_is_node_owned(const char *name);
/* Environment variables that bring a channel to life by themselves. */
bool keys_env_is_channel(const char *name);

#endif
