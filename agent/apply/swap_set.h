/* SPDX-License-Identifier: MIT */
/* Which entries the swap consists of: as few and as high up as possible.
 *
 * A folder of the target may be replaced whole when everything in it, at any
 * depth, belongs to the sections that are restored. Who owns a file is asked
 * of the same `choose` functions a backup of the target would use; so what
 * goes is exactly what the safety backup holds. Otherwise the folder stays
 * and its entries are looked at one by one. What other sections own, and what
 * no backup stores (caches, locks), is not touched. */
#ifndef AGENT_APPLY_SWAP_SET_H
#define AGENT_APPLY_SWAP_SET_H

#include "agent/apply/internal.h"
#include "agent/apply/swap.h"

/* Stages and places of `a` for the journal. */
void swap_set_begin(const struct apply *a, struct swap *out);
/* The ops; nothing is changed. OCM_E_EXISTS when something that stays is in
 * the way of something that comes. The gateway must be down. */
int swap_set_fill(const struct apply *a, struct swap *out, struct error *e);

#endif
