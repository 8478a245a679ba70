/* SPDX-License-Identifier: MIT */
/* Apply: a snapshot onto this node. Plan and deed share one path:
 *
 *   fetch -> stage (beside the target, 0700) -> verify -> adapt -> [plan ends]
 *   -> [npm install] -> fsync -> journal -> safety backup -> guard
 *   -> stop gateway -> swap -> [OpenClaw's own upgrade] -> start quiet -> health -> start -> health -> commit
 *
 * Any failure walks the journal back. Killed anywhere: apply_recover at the
 * agent's start ends in *before* or *after*. Worker thread. */
#ifndef AGENT_APPLY_APPLY_H
#define AGENT_APPLY_APPLY_H

#include <stdatomic.h>

#include "agent/adapt/adapt.h"
#include "agent/openclaw/gateway.h"
#include "agent/openclaw/openclaw.h"
#include "common/data/blob.h"
#include "common/data/tree.h"

/* Where blobs come from: verified plaintext, in the order asked. */
struct apply_source {
    /* Announce ids that will be read next, so that they can be fetched ahead
     * in large batches; then read them one by one in the same order. */
    int (*want)(void *arg, const struct id *ids, size_t count, struct error *e);
    /* Plaintext borrowed until the next call. */
    int (*read)(void *arg, const struct id *id, enum blob_type type,
                const uint8_t **p, size_t *len, struct error *e);
    void *arg;
};

struct apply_options {
    const struct openclaw_conf *conf;
    enum intention intention;
    struct id root;              /* of the snapshot */
    const char *const *sections; /* empty: all it holds */
    size_t section_count;
    bool no_data;
    const struct adapt_rule *rules;
    size_t rule_count;
    bool channels_on, no_start, no_safety;
    bool install_openclaw; /* the backup's version of it, through npm */
    bool upgrade_state;    /* OpenClaw's own upgrade after the swap */
    const char *const *skip_edits;
    size_t skip_count;
    const uint8_t *seed;     /* 16 bytes */
    const uint8_t *node_key; /* 32 bytes */
    const char *work_dir;    /* the agent's own state folder: journals */
    const char *helper;      /* opens databases; see adapt.h */
    const char *job;         /* id; names the stage folder */
    int64_t health_wait_ms, stop_bound_ms;
    struct apply_source source;
    /* Back up what will be replaced; called after staging, before the swap.
     * Fills the snapshot's id. NULL: none. */
    int (*safety)(void *arg, struct id *snapshot, struct error *e);
    void (*on_step)(void *arg, const char *step, uint64_t files_done,
                    uint64_t files_total, uint64_t bytes_done,
                    uint64_t bytes_total, const char *current);
    void (*on_log)(void *arg, const char *level, const char *line);
    void *arg;
    const atomic_bool *cancelled; /* honoured until the swap begins */
};

struct apply_section {
    char name[32], area[8];
    const char *action; /* "replace", "merge", "keep", "create", "drop" */
    char *target;
    uint64_t files, bytes;
};

struct apply_result {
    struct plan plan;
    struct id digest; /* plan, sections, snapshot, target's facts */
    struct id facts_digest;
    struct apply_section *sections;
    size_t section_count;
    /* "planned", "applied", "rolled-back", "unchanged"; "failed": the way back
     * could not be finished, the start guard stays and apply_recover goes on
     * from there */
    const char *state;
    char *reason; /* why not, or which sections stay as they were; or NULL */
    struct gateway_check checks[16];
    size_t check_count;
    struct id safety_snapshot;
    char *kept; /* folder with the replaced state, or NULL: beside the state
                 * directory, "<parent>/.ocm-old-<job>"; older ones than a week
                 * are removed by the next apply */
    int64_t gateway_down_ms;
};

/* What is in `out` is the caller's to release, whatever is returned.
 *
 * Sections: all of the snapshot's, or those named. A file of the target that
 * a restored section of the backup lacks goes into the kept folder; not so
 * when the section is partial, or when not all of its roots have a place on
 * this node. A section whose content is damaged or missing stays as it is on
 * this node and is told in `reason`; the others are restored.
 *
 * Written is only below the state directory, the home, the workspaces and
 * [extra] folders that this node's own configuration names. */

/* Make the plan only; the stage folder is gone afterwards. OCM_E_LOCKED while
 * an earlier apply is not recovered. */
int apply_plan(const struct apply_options *o, struct apply_result *out,
               struct error *e);
/* Do it, if the plan made anew has `agreed` as its digest; else
 * OCM_E_CHANGED and nothing has happened. OCM_E_DENIED when the plan has a
 * blocking warning. 0: applied, and healthy where it could be started.
 * Otherwise `out->state` tells where the node stands. */
int apply_run(const struct apply_options *o, const struct id *agreed,
              struct apply_result *out, struct error *e);
void apply_result_fini(struct apply_result *r);

/* At the agent's start, before anything else: finish or walk back what a
 * killed run left behind. `text` gets one line per thing done. */
int apply_recover(const struct openclaw_conf *conf, const char *work_dir,
                  struct buf *text, struct error *e);

#endif
