/* SPDX-License-Identifier: MIT */
/* Adaptation: source facts -> target facts as rules, rules -> edits on staged
 * copies, edits -> a plan. The same code makes the plan and does the deed, so
 * a deed is exactly its plan. Worker thread. */
#ifndef AGENT_ADAPT_ADAPT_H
#define AGENT_ADAPT_ADAPT_H

#include "agent/adapt/plan.h"
#include "agent/openclaw/facts.h"
#include "agent/openclaw/sections.h"

/* One staged file. */
struct adapt_file {
    const char *section;
    const char *at;     /* snapshot path, "config/gateway/openclaw.json" */
    const char *staged; /* absolute path of the staged copy (0600, ours) */
    const char *live;   /* where it will go on the target (may not exist) */
    enum file_kind kind;
    enum section_action action; /* of its section under this intention */
};

struct adapt_rule {
    const char *from, *to; /* user's own, exact text on path boundaries */
};

struct adapt_options {
    enum intention intention;
    const struct facts *source;   /* from the snapshot's meta.json */
    const struct facts *target;   /* of this node, live, secrets in clear */
    int source_era, target_era;   /* enum openclaw_era */
    const char *target_state_dir; /* live state of the target, may be absent */
    const struct adapt_rule *rules;
    size_t rule_count;
    /* Not empty: of the state database only rows of these sections come, into
     * the target's own; in a restore too. */
    const char *const *row_sections;
    size_t row_section_count;
    bool upgrade_state; /* OpenClaw's own upgrade will follow: plan it */
    bool channels_on;   /* a clone's channels stay as they were */
    const char *const *skip_edits; /* ids not to be done */
    size_t skip_count;
    const uint8_t *seed;     /* 16 bytes; fresh values are HMACs of it under */
    const uint8_t *node_key; /* this node's 32-byte key */
    /* Program that opens databases in place of this process when it is run
     * with DATABASE_HELPER_WORD (database_helper.h); NULL: done here. */
    const char *helper;
    /* Is a TCP port free on this node? A seam for tests. */
    bool (*port_is_free)(void *arg, int port);
    bool (*path_exists)(void *arg, const char *path);
    void *arg;
};

struct adapt;
struct adapt *adapt_new(const struct adapt_options *o, struct plan *plan);
void adapt_free(struct adapt *a);

/* The OpenClaw that can read what the source wrote: the newer of who wrote
 * its config last and who ran last; NULL: it does not say. Borrowed. */
const char *adapt_source_version(const struct facts *source);
/* <0, 0, >0; 0 also when either is no version. */
int adapt_version_compare(const char *a, const char *b);

/* Map one path of the source to the target (longest prefix first, on path
 * boundaries); NULL when no rule applies. Caller frees. */
char *adapt_map_path(const struct adapt *a, const char *path);

/* A folder or file that will be on the target afterwards, by its live path.
 * Told for every root that is placed (plans do not stage them all), so that
 * paths in the configuration are checked against what will be there. Optional:
 * without it, what lies in the target's state folder counts as there. */
void adapt_restored_root(struct adapt *a, const char *live);

/* Edit the staged file in place and record the edits and warnings. Databases
 * are opened with SQLite's defences on. With ACTION_MERGE the staged file
 * becomes the *target's* database with the source's rows brought over. A file
 * that must not come to this node (a device identity in a clone, ...) becomes
 * the target's own, or is removed from the stage when the target has none:
 * then it is not to be placed. */
int adapt_file(struct adapt *a, const struct adapt_file *f, struct error *e);

/* After all files: env files (which variables hold the gateway's token stands
 * in the config), and what spans files (paths that do not exist on the target,
 * channels live on the source, versions, binaries). */
int adapt_finish(struct adapt *a, struct error *e);

#endif
