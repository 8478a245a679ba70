/* SPDX-License-Identifier: MIT */
/* The JSON of an index file. */
#include <stdlib.h>

#include "controller/repo/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_pack(void *arg, const struct id *pack,
                   const struct pack_entry *entries, size_t count)
{
    index_add_pack(arg, pack, entries, count);
    return 0;
}

static int on_again(void *arg, const struct id *pack,
                    const struct pack_entry *entries, size_t count)
{
    (void)pack;
    (void)entries;
    (void)count;
    ++*(size_t *)arg;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf again = {0};
    struct error e = {0};
    size_t packs = 0;

    index_begin(&again);
    if (index_parse(data, size, on_pack, &again, &e) == 0) {
        index_end(&again);
        if (index_parse(again.data, again.len, on_again, &packs, &e) < 0)
            abort();
    }
    buf_free(&again);
    return 0;
}
