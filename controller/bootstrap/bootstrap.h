/* SPDX-License-Identifier: MIT */
/* From "a host with OpenClaw and sshd" to "backed up":
 *
 *   log in -> detect -> (detect as root) -> plan -> copy the agent -> install
 *   -> join with a one-use token -> heard by the controller -> first backup
 *
 * Run again it repairs or upgrades. What it needs of the controller and of
 * people comes through hooks, so that ocmctl and the daemon can both use it.
 * Blocking: a thread per host. */
#ifndef CONTROLLER_BOOTSTRAP_BOOTSTRAP_H
#define CONTROLLER_BOOTSTRAP_BOOTSTRAP_H

#include "controller/bootstrap/remote.h"
#include "controller/bootstrap/ssh.h"

#define BOOTSTRAP_MAX_ITEMS REMOTE_MAX

/* deploy/bootstrap.sh, put into the program by the build. */
extern const char bootstrap_script[];
extern const size_t bootstrap_script_len;

enum bootstrap_action {
    BOOTSTRAP_INSTALL, /* no agent was there */
    BOOTSTRAP_UPGRADE, /* another agent than ours */
    BOOTSTRAP_REPAIR,  /* ours: what is wrong is set right */
};

/* One agent of a host: for one OpenClaw. */
struct bootstrap_item {
    struct remote_state state; /* dir "": no OpenClaw yet, for state.user */
    char instance[64];
    char node[64]; /* the name that is asked for */
    enum bootstrap_action action;
    bool join; /* it needs a token */

    /* the result */
    char node_id[40], node_name[64], mode[16];
    char backup[128]; /* "complete, 312 files, 4.2 MiB"; "" : none */
};

struct bootstrap_plan {
    const char *host; /* as it was given */
    const struct remote *remote;
    bool sudo;
    char mode[16]; /* "system", "user", "cron" */
    char controller[300];
    char host_key[64]; /* "SHA256:..." */
    struct bootstrap_item items[BOOTSTRAP_MAX_ITEMS];
    size_t item_count;
};

/* What is kept of a connection, for upgrades to come. No secret. */
struct bootstrap_connection {
    const char *host, *user, *identity, *jump, *host_key;
    int64_t port;
};

/* All are called from the thread of the host, with `arg`. Those that return
 * int: 0, or a code with its text in `e`. */
struct bootstrap_hooks {
    /* "copying the agent": what is being done now */
    void (*step)(void *arg, const char *text);
    /* --dry-run: a command that would run on the host */
    void (*would)(void *arg, const char *command);
    /* Show the plan; false: leave the host as it is. */
    bool (*approve)(void *arg, const struct bootstrap_plan *plan);
    /* Does the controller know this node, and trust it? */
    int (*knows)(void *arg, const char *node_id, bool *known, struct error *e);
    /* Where nodes reach the controller. `advertised`: it was told so, and does
     * not just guess. */
    int (*address)(void *arg, char *out, size_t cap, bool *advertised,
                   struct error *e);
    /* A one-use token into `token` (cap bytes; wiped by the caller). */
    int (*token)(void *arg, const char *name, char *token, size_t cap,
                 struct error *e);
    /* A node that joined and was then taken back with all the rest. */
    void (*forget)(void *arg, const char *node_id);
    /* Wait until the controller hears the node. */
    int (*heard)(void *arg, const char *node_id, struct error *e);
    /* The first backup; a line about it into `out`. */
    int (*backup)(void *arg, const char *node_id, char *out, size_t cap,
                  struct error *e);
    int (*keep)(void *arg, const char *node_id,
                const struct bootstrap_connection *c, struct error *e);
};

struct bootstrap_order {
    struct ssh_options ssh; /* its prompt, arg and stop are used, too */
    const char *agent_dir;  /* ocm-agent-<uname -m> and SHA256SUMS */
    const char *name;       /* of the node; "" : the host's */
    const char *user;       /* OpenClaw's; "" : everybody's that is found */
    const char *mode;       /* "system", "user", "cron", "" : what fits */
    const char *controller; /* host[:port] for the node; "" : see address */
    bool dry_run, no_backup;
    const struct bootstrap_hooks *hooks;
    void *arg; /* of the hooks */
};

/* One host. 0: done (plan has the results), or what went wrong first; then the
 * host is as it was, or the step can be run again. OCM_E_CANCELLED when
 * `approve` said no. `remote` and `plan` are the caller's storage. */
int bootstrap_run(const struct bootstrap_order *o, struct remote *remote,
                  struct bootstrap_plan *plan, struct error *e);

const char *bootstrap_action_text(enum bootstrap_action a);

#endif
