/* SPDX-License-Identifier: MIT */
/* A small node in a temp folder, a backup of it in memory, and trees made
 * comparable. */
#ifndef TESTS_UNIT_APPLY_WORLD_H
#define TESTS_UNIT_APPLY_WORLD_H

#include "fake_gateway.h"
#include "store.h"

struct world {
    char dir[256];   /* temp folder of all */
    char home[300];  /* <dir>/home */
    char state[320]; /* <home>/.openclaw */
    char ws[320];    /* <home>/ws: the workspace, outside the state */
    char work[300];  /* <dir>/work: the agent's folder */
    char temp[300];
    struct openclaw_conf conf;
    struct conf_list none;
    struct store store;
    struct id root; /* of the backup */
};

/* An empty node; the fake gateway is reset and belongs to it. */
void world_init(struct world *w);
void world_fini(struct world *w); /* removes the folder */

/* Files of a running node of the file era. */
void world_fill(const struct world *w);
/* What happened since: changed, new and lost files. */
void world_change(const struct world *w);
/* Back it up with the real capture; w->root. */
void world_backup(struct world *w);
struct apply_options world_options(struct world *w);

/* The digest of the plan as it is made now. */
struct id world_agree(struct world *w, const struct apply_options *o);

void put_file(const char *root, const char *rel, const char *text, mode_t mode);
char *get_file(const char *root, const char *rel); /* NULL: none; static */

/* Digest over everything below `path`: names, kinds, modes, times, content,
 * link targets, which names are one file, xattrs. With `loose`, without what
 * a gateway writes while it runs, and caches. Our own folders never count. */
struct id tree_hash(const char *path, bool loose);
/* The same over state and workspace. */
struct id world_hash(const struct world *w, bool loose);
/* Every entry as a line, to be read when hashes differ. */
void tree_dump(const char *path);

/* Copy and put back all that a run changes, times and links included. */
void world_save(const struct world *w);
void world_reset(const struct world *w);
/* The same for what a killed run left: state, journal, gateway. */
void world_keep_crashed(const struct world *w);
void world_back_to_crashed(const struct world *w);
/* Is there a stage folder anywhere, or a journal? */
bool world_is_clean(const struct world *w);

int run_program(const char *const *argv); /* exit code */

#endif
