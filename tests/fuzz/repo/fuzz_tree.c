/* SPDX-License-Identifier: MIT */
/* Trees from foreign hands. What parses is written again, and that must parse
 * to the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "common/data/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_tree(const struct tree *t, struct buf *out)
{
    tree_begin(out);
    for (size_t i = 0; i < t->count; i++)
        tree_add(out, &t->nodes[i]);
    tree_end(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf once = {0}, twice = {0};
    struct error e = {0};
    struct tree t;

    if (tree_parse(data, size, &t, &e) < 0)
        return 0;
    for (size_t i = 0; i < t.count; i++) {
        if (tree_find(&t, t.nodes[i].name, t.nodes[i].name_len) != &t.nodes[i])
            abort();
    }
    write_tree(&t, &once);
    tree_free(&t);
    if (tree_parse(once.data, once.len, &t, &e) < 0)
        abort();
    write_tree(&t, &twice);
    tree_free(&t);
    if (once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0)
        abort();
    buf_free(&once);
    buf_free(&twice);
    return 0;
}
