/* SPDX-License-Identifier: MIT */
/* Upgrades of this agent: PROTOCOL.md, "Upgrade". The installed file is the
 * launcher and is never changed; newer agents are copies in <state_dir>/bin,
 * and upgrade.conf says which one runs. Everything here may block; one thread
 * at a time. */
#ifndef AGENT_UPGRADE_UPGRADE_H
#define AGENT_UPGRADE_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/release/manifest.h"

/* What a launcher executes and passes on. All borrowed. */
struct upgrade_place {
    const char *state_dir;
    const char *config; /* agent.conf as it was given; NULL: none */
    int64_t wait_ms;    /* a new agent must be heard within */
};

/* ---- which agent runs (launch.c, watch.c) ---- */

/* For `run`, before anything else, with no other thread: executes the agent
 * that upgrade.conf names with `argv`, leaving a watcher behind when it is on
 * trial, and does not return; or goes back to the former one; or returns since
 * this process is the one to run. Failures are logged: an agent that runs is
 * worth more than the right version of it. */
void upgrade_launch(const struct upgrade_place *p, char *const *argv);

/* Execute `run` of this very file again, in this process. Returns only when
 * that is not possible. */
void upgrade_run_self(const struct upgrade_place *p);

/* The watcher's life: until the trial of `pid` has ended well, or badly and
 * the former agent was put back and, unless a service manager does it, is
 * executed in the place of this process. */
void upgrade_watch(const struct upgrade_place *p, pid_t pid);

/* So long an agent on trial stays connected before it settles, unless it has
 * served a conversation before: the watcher waits for it so much longer. */
int64_t upgrade_steady_ms(int64_t wait_ms);

/* ---- what the running agent says of itself ---- */

bool upgrade_on_trial(const char *state_dir);
/* We were heard: the trial is over. */
int upgrade_settle(const char *state_dir, struct error *e);
/* Why an upgrade was put back, once; NULL: none was. Caller frees. */
char *upgrade_undone(const char *state_dir);
/* The controller knows it now. */
void upgrade_told(const char *state_dir);

/* ---- taking a new agent in (stage.c) ---- */

struct upgrade_stage;

struct upgrade_offer {
    const void *manifest;
    size_t manifest_len;
    bool allow_downgrade;
    uint32_t protocol; /* spoken with the controller now */
};

/* Judge a manifest: signature first, then name, machine, protocol, version,
 * room on the disk. 0: *out is ready to be written to. *current: it is what
 * runs already, and *out is NULL. OCM_E_AUTH, OCM_E_INVALID, OCM_E_VERSION,
 * OCM_E_UNSUPPORTED (another machine), OCM_E_SPACE. */
int upgrade_stage_open(const char *state_dir, const struct upgrade_offer *o,
                       struct upgrade_stage **out, bool *current,
                       struct error *e);
/* More than the manifest's size is OCM_E_DAMAGED. */
int upgrade_stage_write(struct upgrade_stage *s, const void *p, size_t len,
                        struct error *e);
/* All has come: compare, try `--version` of it, put it in its place and write
 * down the trial. After 0 the next upgrade_launch executes it. */
int upgrade_stage_finish(struct upgrade_stage *s, struct error *e);
/* What was not finished is removed. NULL is fine. */
void upgrade_stage_free(struct upgrade_stage *s);

#endif
