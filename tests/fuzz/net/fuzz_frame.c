/* SPDX-License-Identifier: MIT */
/* Any bytes, cut anywhere, through the frame reader: its promises hold. */
#include <assert.h>
#include <string.h>

#include "common/net/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_reader r = {0};
    size_t off = 0, step = size ? data[size - 1] % 37u + 1 : 1;
    int rc = 0;

    while (off < size && rc >= 0) {
        size_t room, n;
        uint8_t *p = frame_reader_room(&r, &room);

        assert(room > 0);
        n = room < step ? room : step;
        n = n < size - off ? n : size - off;
        memcpy(p, data + off, n);
        off += n;
        rc = frame_reader_put(&r, n, NULL);
        if (rc >= FRAME_HEAD_READY) {
            assert(r.head.kind >= FRAME_CONTROL && r.head.kind <= FRAME_PONG);
            assert(r.head.len <= (r.head.kind == FRAME_CONTROL
                                      ? FRAME_MAX_CONTROL
                                      : FRAME_MAX_DATA));
        }
        if (rc == FRAME_DONE)
            assert(r.payload.len == r.head.len);
    }
    frame_reader_fini(&r);
    return 0;
}
