/* SPDX-License-Identifier: MIT */
/* Any bytes as an Envelope: refused with a reason, or a message that packs
 * and unpacks again. */
#include <assert.h>

#include "common/net/envelope.h"
#include "common/net/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e = {0};
    Ocm__Envelope *m = envelope_unpack(data, size, &e), *again;
    struct buf b = {0};

    if (!m) {
        assert(e.code != 0 && e.text[0] != 0);
        return 0;
    }
    assert(e.code == 0);
    if (envelope_pack(m, &b, &e) == 0) {
        again = envelope_unpack(b.data, b.len, &e);
        assert(again && again->body_case == m->body_case);
        stream_message_free(again);
    }
    buf_free(&b);
    stream_message_free(m);
    return 0;
}
