/* SPDX-License-Identifier: MIT */
/* The points at which a test may cut an apply or a recovery short. */
#include "agent/apply/fault.h"

#include <stddef.h>

void (*apply_fault)(int step) = NULL;
int apply_fault_step = 0;

void apply_point(void)
{
    if (apply_fault)
        apply_fault(++apply_fault_step);
}
