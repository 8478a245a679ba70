/* SPDX-License-Identifier: MIT */
/* What client.c and events.c share. */
#ifndef CONTROLLER_CLI_CLIENT_INTERNAL_H
#define CONTROLLER_CLI_CLIENT_INTERNAL_H

#include <curl/curl.h>

#include "controller/cli/cli_internal.h"

struct client {
    CURL *curl;
};

struct client *client_of(struct cli *c);
/* The handle, set up for one request to `target`. */
CURL *client_begin(struct cli *c, const char *target);
/* Tell what went wrong on the way; the exit code. */
int client_failed(struct cli *c, CURL *h, int code);
/* Tell what the controller refused; the exit code. */
int client_refused(struct cli *c, long status, const struct buf *answer);

#endif
