/* SPDX-License-Identifier: MIT */
/* Named points between the system calls that change something, so that tests
 * can end the process at each of them. */
#ifndef AGENT_APPLY_FAULT_H
#define AGENT_APPLY_FAULT_H

/* NULL outside tests. Called with 1, 2, 3, ... in the order of execution. */
extern void (*apply_fault)(int step);
extern int apply_fault_step; /* the last number given out */

void apply_point(void);

#endif
