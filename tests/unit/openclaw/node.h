/* SPDX-License-Identifier: MIT */
/* Synthetic nodes for tests: a temp folder as HOME, files, databases. */
#ifndef TESTS_UNIT_OPENCLAW_NODE_H
#define TESTS_UNIT_OPENCLAW_NODE_H

#include "agent/openclaw/openclaw.h"

struct node {
    char home[64];   /* mkdtemp; removed by node_fini */
    char state[128]; /* <home>/.openclaw */
    struct openclaw_conf conf;
    struct openclaw o; /* of node_detect */
    struct buf notes;
    struct error e;
};

void node_init(struct node *n);
void node_fini(struct node *n);

/* A file below the home, folders made; 0600. */
void node_write(struct node *n, const char *rel, const char *text);
/* Run SQL on a database below the home; WAL mode when `wal`. */
void node_sql(struct node *n, const char *rel, const char *sql);
/* The few tables of a state database that matter, with `jobs` user jobs under
 * this node's path and one of OpenClaw's own. */
void node_state_db(struct node *n, int jobs);

int node_detect(struct node *n);

/* "<section>" that takes the file below the home, "" for none, "2" when more
 * than one does. Asks the roots as the capture would. */
const char *node_section(const struct node *n, const char *rel);

/* A TCP port of 127.0.0.1 that is free now. */
int free_port(void);

#endif
