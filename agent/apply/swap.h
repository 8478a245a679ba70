/* SPDX-License-Identifier: MIT */
/* The swap: a set of entries goes live together, or not at all.
 *
 * Each entry has three names: `new` in the stage, `live`, and `old` in the
 * stage. First all live ones are renamed to old (phase A), then all new ones
 * to live (phase B). With two renames per entry, and never an exchange, the
 * names alone tell how far an entry came, whatever was written last:
 *
 *   new live -    not begun          -  live -    made, or undone
 *   new -    old  between            -  -    old  removed
 *   -   live old  done               new live old  somebody made `live` anew
 *
 * so that undoing needs no line per entry, can be cut at any point and done
 * again. The gateway is down and guarded meanwhile; nobody sees the gap.
 *
 * A folder that cannot be renamed (a lower layer of overlayfs) is split into
 * its entries, and taken away when it is empty; a file that cannot (a bind mount) is copied. */
#ifndef AGENT_APPLY_SWAP_H
#define AGENT_APPLY_SWAP_H

#include <stdint.h>
#include <sys/types.h>

#include "agent/apply/journal.h"

enum swap_kind { SWAP_ENTRY, SWAP_ATTR, SWAP_MKDIR, SWAP_RMDIR };

struct swap_attr {
    mode_t mode;
    uid_t uid;
    gid_t gid;
    int64_t mtime_s, mtime_ns;
};

struct swap_op {
    enum swap_kind kind;
    uint32_t place;
    char *rel;   /* below the place, "" is the place itself; MKDIR: absolute */
    bool live;   /* ENTRY: something stood there */
    bool fresh;  /* ENTRY: something new comes there */
    bool copy;   /* ENTRY: by copying */
    bool split;  /* ENTRY: replaced by later ones */
    mode_t mode; /* ENTRY: of a live folder, to be set again after an undo */
    bool set;    /* ATTR: `after` holds */
    struct swap_attr before, after;
};

struct swap_place {
    char *live;  /* absolute */
    char *stage; /* the stage folder */
    char *label;
};

struct swap_stage {
    char *parent, *dir, *kept;
};

struct swap {
    struct journal *journal;
    char *job;
    char *state_dir, *config_path; /* of the node, as they were found */
    struct swap_stage *stages;
    size_t stage_count, stage_cap;
    struct swap_place *places;
    size_t place_count, place_cap;
    struct swap_op *ops;
    size_t op_count, op_cap;
    /* how far the journal says it came */
    bool staged, stopped, running, guarded, begun, swapped, committed, undone;
    bool upgraded; /* ... with a copy of the state before it */
    bool start;    /* of the commit mark */
};

/* The journal's lines, and what they meant. */
int swap_log_begin(struct swap *s, struct error *e);
int swap_log_mark(struct swap *s, const char *kind, const char *flag,
                  bool value, struct error *e);
int swap_log_ops(struct swap *s, size_t first, struct error *e);
int swap_log_index(struct swap *s, const char *kind, size_t index,
                   struct error *e);
int swap_on_line(void *arg, const json_t *line, struct error *e);

struct swap_op *swap_add(struct swap *s, struct swap_op op); /* takes rel */

/* Both phases; all ops are in the journal. On failure: swap_undo. */
int swap_run(struct swap *s, struct error *e);
/* Back to before, as far as it came; idempotent. */
int swap_undo(struct swap *s, struct error *e);
/* After the commit: `old` gets its lasting name, stages go. Idempotent. */
int swap_finish(struct swap *s, struct error *e);
/* Stages go, nothing is kept. */
int swap_discard(struct swap *s, struct error *e);
/* Does the lasting folder of a stage exist? */
bool swap_has_kept(const struct swap_stage *stage);
/* Remove folders kept by earlier runs in `parent` that are older than
 * SWAP_KEEP_DAYS; never `but`. */
#define SWAP_KEEP_DAYS 7
void swap_forget_old(const char *parent, const char *but);
void swap_fini(struct swap *s); /* closes the journal */

/* ---- swap_upgrade.c ---- */

/* The swapped state goes to OpenClaw's own upgrade, which writes wherever it
 * likes in it: keep a copy, and say so in the journal. */
int swap_keep_state(struct swap *s, struct error *e);
/* The copy takes the state's place; swap_undo does this first. Idempotent. */
int swap_put_state_back(struct swap *s, struct error *e);

/* ---- swap_move.c ---- */

/* rename of <from>/<rel> to <to>/<to_rel>, each beneath its base and never
 * through a link, never onto something; with `parents` those of the
 * destination are made. 0 or -errno. */
int swap_move(const char *from, const char *rel, const char *to,
              const char *to_rel, bool parents);
/* Content, mode, owner and time of one file over another that stays. */
int swap_copy_over(const char *from, const char *to, bool create);
/* fsync of the folder that holds <base>/<rel>. */
int swap_sync_parent(const char *base, const char *rel);

#endif
