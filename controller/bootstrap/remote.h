/* SPDX-License-Identifier: MIT */
/* What `bootstrap.sh detect` says of a host. All of it is foreign. */
#ifndef CONTROLLER_BOOTSTRAP_REMOTE_H
#define CONTROLLER_BOOTSTRAP_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"

#define REMOTE_MAX 32 /* states, and agents, of one host */

/* One OpenClaw. */
struct remote_state {
    char user[64], home[256], dir[512];
    char profile[64]; /* "" : the default one */
    char unit[128];   /* of its gateway, without ".service"; "" : none */
    char version[32]; /* "" : not known */
};

/* One agent that is there already. */
struct remote_instance {
    char name[64];
    char mode[16]; /* "system", "user", "cron" */
    char home[256], state[512];
    char node_id[40];
    char running[8]; /* "yes", "no" */
};

/* Values are as the script says them; "" where it says nothing. */
struct remote {
    char host[128], user[64], uid[16], home[256];
    char arch[32], kernel[64], libc[16], os[128];
    char init[16]; /* "systemd", "openrc", "other" */
    char sudo[16]; /* "root", "nopasswd", "password", "maybe", "no" */
    char linger[8], user_manager[8], cron[8];
    char ssh_client[64]; /* our address, as the host sees it */
    char agent[256], agent_version[32], agent_sha256[80];
    struct remote_state states[REMOTE_MAX];
    struct remote_instance instances[REMOTE_MAX];
    size_t state_count, instance_count;
    bool complete; /* its last line came */
};

/* Read key=value lines; lines that we do not know are passed over. OCM_E_FAILED
 * when the text is not what the script says, or breaks off. */
int remote_parse(const char *text, struct remote *out, struct error *e);

#endif
