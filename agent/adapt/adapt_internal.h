/* SPDX-License-Identifier: MIT */
/* What the parts of the adaptation share. */
#ifndef AGENT_ADAPT_ADAPT_INTERNAL_H
#define AGENT_ADAPT_ADAPT_INTERNAL_H

#include <jansson.h>

#include "agent/adapt/adapt.h"
#include "agent/adapt/docs/doc.h"
#include "agent/adapt/rules.h"
#include "agent/openclaw/openclaw.h"

#define PORT_DEFAULT 18789
#define STAGED_MAX_BYTES DOC_MAX_BYTES
/* Warnings of one file about lines; the rest is counted. */
#define FOREIGN_LINES_MAX 8
#define FOREIGN_SHOWN_MAX 120 /* bytes of such a path */
/* Warnings of all files in the data area together. */
#define FOREIGN_DATA_MAX 100

/* A path of the finished configuration whose presence adapt_finish checks. */
struct path_check {
    char *section, *file, *place, *path;
    bool program;
};

struct deferred {
    char *section, *at, *staged, *live;
    enum file_kind kind;
    enum section_action action;
};

struct text_list {
    char **items;
    size_t count, cap;
};

/* What the target has of its own, read once in adapt_new. */
struct target_own {
    bool lives;            /* it has a state of its own */
    json_t *conf;          /* its openclaw.json, or NULL */
    json_t *env;           /* its .env: name -> text, or NULL */
    struct text_list vars; /* ${NAME}s its node-owned values refer to */
};

struct adapt {
    struct adapt_options o;
    struct plan *plan;
    struct rules rules;
    struct target_own own;
    int source_port;             /* of the source's gateway */
    int target_port;             /* the one it will have here */
    bool port_fresh;             /* chosen, not the target's own */
    struct text_list token_vars; /* ${NAME}s of the source's gateway.auth */
    struct text_list channels;   /* those the config names */
    struct path_check *checks;
    size_t check_count, check_cap;
    struct deferred *envs; /* env files wait for adapt_finish: which of their
                              variables hold a token, the config says */
    size_t env_count, env_cap;
    struct text_list restored; /* live paths that will be there afterwards */
    bool roots_told;           /* adapt_restored_root was used */
    size_t foreign_data;       /* warnings about the data area so far */
    size_t foreign_untold;     /* ... beyond FOREIGN_DATA_MAX */
    size_t history_files;      /* transcripts that mention source paths */
    uint64_t history_lines;
    bool whatsapp; /* its session files are among what is restored */
};

/* The work on one file. */
struct work {
    struct adapt *a;
    const struct adapt_file *f;
    struct doc *d;            /* of a document */
    const char *place_prefix; /* "cron_jobs[x].job_json." in a row, or NULL */
    const char *apart;        /* values below this key are set by themselves */
    char *old_token, *new_token; /* of the gateway, in its main config */
    struct error *e;
};

void text_list_add(struct text_list *l, const char *s);
bool text_list_has(const struct text_list *l, const char *s);
void text_list_free(struct text_list *l);

/* Clone or move: the target keeps what belongs to it. */
bool adapt_crosses(const struct adapt *a);
/* The path of a staged file below the root of its section:
 * "config/cron/cron/jobs.json" -> "cron/jobs.json". */
const char *file_rel(const struct adapt_file *f);

/* --- one value (values.c) --- */

/* `text` for the target: paths, then references to the own gateway. Appends
 * to `out`; the rule that changed it, or NULL. */
const char *adapt_text(const struct adapt *a, const char *text, size_t len,
                       struct buf *out);
/* A whole value that is a path. NULL: unchanged. Caller frees. */
char *adapt_path_value(const struct adapt *a, const char *text,
                       const char **rule);
/* The port that follows when `port` is the source gateway's or one derived
 * from it; 0: another port. */
int adapt_port(const struct adapt *a, int64_t port);

/* May this edit be done? Otherwise the warning "edit-skipped" was made. */
bool edit_wanted(struct work *w, const char *place, const char *rule);

/* Set a scalar (string or raw) and record the edit. */
int edit_string(struct work *w, const struct doc_value *v, const char *text,
                size_t len, const char *rule, bool secret);
int edit_raw(struct work *w, const struct doc_value *v, const char *raw,
             const char *rule);
int edit_insert(struct work *w, const char *parent, const char *key,
                const char *place, const char *json, const char *rule,
                bool secret);
int edit_remove(struct work *w, const char *path, const char *old_value,
                const char *rule, bool secret);

/* Is the value below w->apart? */
bool is_apart(const struct work *w, const char *path);

/* A string value by the rules, as a path when the key is one. */
int edit_value(struct work *w, const struct doc_value *v, bool secret);
/* Check later that the path `text` (as it will stand) exists. */
void check_path(struct work *w, const char *place, const char *text,
                bool program);

/* --- files --- */

int staged_read(const struct adapt_file *f, size_t max, struct buf *out,
                struct error *e);
/* Replace the bytes in place: same inode, links and mode. */
int staged_write(const struct adapt_file *f, const struct buf *b,
                 struct error *e);
/* Render w->d and write it if it was edited; scan what is left. */
int work_save(struct work *w, const struct buf *before, bool report);

/* Source paths in text: one warning per line, at most FOREIGN_LINES_MAX.
 * `place` NULL: "line N". */
void report_foreign(struct adapt *a, const struct adapt_file *f,
                    const char *text, size_t len, const char *place);
/* Source paths in a file of any size and kind: how many lines hold some. */
uint64_t count_foreign(const struct adapt *a, const char *staged);

/* A scalar of a configuration: masked values, ports, tokens, paths. */
int config_value(struct work *w, const struct doc_value *v);

/* One kind of file each: 0, or a code when the file cannot be placed. What
 * only could not be adapted is a warning. */
int adapt_config(struct adapt *a, const struct adapt_file *f, struct error *e);
int adapt_json(struct adapt *a, const struct adapt_file *f, struct error *e);
int adapt_jsonl(struct adapt *a, const struct adapt_file *f, struct error *e);
int adapt_yaml(struct adapt *a, const struct adapt_file *f, struct error *e);
int adapt_lines(struct adapt *a, const struct adapt_file *f,
                struct error *e); /* env, unit, crontab */
int adapt_plain_text(struct adapt *a, const struct adapt_file *f,
                     struct error *e);
int adapt_state_db(struct adapt *a, const struct adapt_file *f,
                   struct error *e);
int adapt_other_db(struct adapt *a, const struct adapt_file *f,
                   struct error *e);

/* --- the target's own values (target.c) --- */

void target_read(struct adapt *a);
void target_fini(struct adapt *a);
/* The target's value of a node-owned key ("gateway.tls"); borrowed. */
json_t *target_value(const struct adapt *a, const char *path);
/* Make the value at `path` exactly `want`, member by member. */
int edit_subtree(struct work *w, const char *path, json_t *want,
                 const char *rule);

/* --- fresh values (fresh.c) --- */

/* 48 hex digits out of the plan's seed and the node's key. */
void fresh_token(const struct adapt *a, const char *purpose, char out[49]);
/* A port for the gateway that nobody listens on here. */
int fresh_port(const struct adapt *a);

#endif
