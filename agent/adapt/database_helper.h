/* SPDX-License-Identifier: MIT */
/* The process that opens foreign databases in place of the agent: the same
 * program, run with this word as its only argument. See database_job.h. */
#ifndef AGENT_ADAPT_DATABASE_HELPER_H
#define AGENT_ADAPT_DATABASE_HELPER_H

#define DATABASE_HELPER_WORD "database-helper"

/* Read the request, do it, write the answer. Returns the exit status, for
 * _exit(): the process is locked in by then. */
int database_helper_main(void);

#endif
