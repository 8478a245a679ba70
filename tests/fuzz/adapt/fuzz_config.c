/* SPDX-License-Identifier: MIT */
/* Any bytes as openclaw.json: what could be read before can be read after. */
#include <stdlib.h>

#include "agent/adapt/docs/doc.h"
#include "tests/fuzz/adapt/stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool parses(const void *p, size_t len)
{
    struct doc *d = NULL;
    bool ok = doc_parse(DOC_JSON5, p, len, &d, NULL) == 0;

    doc_free(d);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 64 * 1024)
        return 0;
    for (int i = INTENT_RESTORE; i <= INTENT_MOVE; i++)
        for (int lives = 0; lives < 2; lives++) {
            struct buf out = {0};
            int rc = stage_adapt("config/gateway/openclaw.json", KIND_CONFIG,
                                 (enum intention)i, lives, data, size, &out);

            if (rc == 0 && parses(data, size) && !parses(out.data, out.len))
                abort();
            buf_free(&out);
        }
    return 0;
}
