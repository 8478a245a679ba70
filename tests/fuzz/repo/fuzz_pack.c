/* SPDX-License-Identifier: MIT */
/* The decrypted header of a pack. The first four bytes are the length of the
 * blobs before it. */
#include <stdlib.h>
#include <string.h>

#include "controller/repo/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pack_entry *list;
    struct buf again = {0};
    struct error e = {0};
    size_t count;

    if (size < 4)
        return 0;
    if (pack_header_parse(data + 4, size - 4, read_u32le(data), &list, &count,
                          &e) < 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        pack_header_add(&again, &list[i]);
    free(list);
    /* a compressed blob of length 0 is written as an uncompressed one */
    if (again.len > size - 4)
        abort();
    buf_free(&again);
    return 0;
}
