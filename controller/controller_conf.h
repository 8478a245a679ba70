/* SPDX-License-Identifier: MIT */
/* controller.conf. */
#ifndef CONTROLLER_CONTROLLER_CONF_H
#define CONTROLLER_CONTROLLER_CONF_H

#include <stdint.h>

#include "common/base/conf.h"

#define CONTROLLER_CONF_DEFAULT "/etc/ocm/controller.conf"

/* Strings are owned, "" when not set. */
struct controller_conf {
    char *state_dir; /* catalog, CA, caches */
    char *name;      /* in our certificate; agents expect it */
    char *log_level;
    char *listen;    /* address for agents and joining */
    char *advertise; /* what nodes call it; "": listen */
    int64_t agent_port, join_port;
    char *repository;    /* folder; "": <state_dir>/repository */
    char *password_file; /* "": <state_dir>/repository.password */
    int64_t free_floor;
    char *socket; /* API for the local operator */
    char *group;  /* whose members may use it; "": root and ourselves only */
    int64_t keepalive_ms; /* silence before PING, at both ends */
    int64_t cert_days;    /* validity of node certificates */
    int64_t silence_ms;   /* in a backup or plan: the job fails */
};

int controller_conf_load(const char *path, struct controller_conf *out,
                         struct error *e);
void controller_conf_free(struct controller_conf *c);

/* The keys, in the order of the manual page. */
const struct conf_key *controller_conf_keys(size_t *count);

#endif
