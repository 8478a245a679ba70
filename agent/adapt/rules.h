/* SPDX-License-Identifier: MIT */
/* Path rules: which text of the source becomes which on the target. Made of
 * the two nodes' facts and the user's own `from -> to`.
 *
 * Order: the user's rules, then the facts'; longest first in each. At each
 * place of a text the first rule that fits wins, and what it wrote is not
 * looked at again, so rules never chain. A rule fits only on boundaries:
 * "/home/jo/.openclaw" is in "see /home/jo/.openclaw/x." and in
 * "在/home/jo/.openclaw下", not in "/home/jo/.openclaw-work", not in
 * "/mnt/home/jo/.openclaw" and not in "https://example.com/home/jo". */
#ifndef AGENT_ADAPT_RULES_H
#define AGENT_ADAPT_RULES_H

#include "agent/adapt/adapt.h"
#include "common/base/buf.h"

struct rule {
    char *from, *to;
    size_t from_len, to_len;
    const char *kind; /* "user" or "path" */
    bool tilde;       /* `from` is written with "~" */
};

struct rules {
    struct rule *items; /* in order of trial */
    size_t count, cap;
    char *source_home, *target_home; /* or NULL */
    bool starts[256];                /* first bytes of any `from` */
    bool to_starts[256];
};

/* A restore takes host-wide facts only (state folder, home, install paths),
 * since workspaces are part of what is restored. Rules that would bring two
 * places of the source together are left out with a warning. */
void rules_init(struct rules *r, const struct adapt_options *o,
                struct plan *plan);
void rules_fini(struct rules *r);

/* Does any rule change anything? */
bool rules_active(const struct rules *r);

/* The target's path for a whole path ("~/x" too); NULL when no rule changes
 * it. Caller frees. *kind: the rule's, may be NULL. */
char *rules_map_path(const struct rules *r, const char *path,
                     const char **kind);

/* Free text: append `text` with every path of the source rewritten. Returns
 * the kind of the first rule that changed something, NULL when none did
 * (then `out` got the text as it is). `only_user`: the user's rules only. */
const char *rules_rewrite(const struct rules *r, const char *text, size_t len,
                          bool only_user, struct buf *out);

/* A path of the source that a rule would change, from `*at` on; *at moves
 * behind it. Text that is already a target's path is none. */
bool rules_find_foreign(const struct rules *r, const char *text, size_t len,
                        size_t *at, size_t *start);

#endif
