/* SPDX-License-Identifier: MIT */
/* The JSON of a snapshot. */
#include <stdlib.h>
#include <string.h>

#include "controller/repo/snapshot_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snapshot s, again;
    struct error e = {0};
    char *text;

    if (snapshot_decode(data, size, &s, &e) < 0)
        return 0;
    snapshot_tag(&s, "node");
    text = snapshot_encode(&s);
    if (!text || snapshot_decode(text, strlen(text), &again, &e) < 0)
        abort();
    if (again.tag_count != s.tag_count || again.path_count != s.path_count)
        abort();
    snapshot_fini(&again);
    snapshot_fini(&s);
    free(text);
    return 0;
}
