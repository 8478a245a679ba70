/* SPDX-License-Identifier: MIT */
/* Replays a fuzzer's corpus as an ordinary test: every file of the folders
 * named on the command line goes through LLVMFuzzerTestOneInput once, then
 * each again cut short and with bits flipped. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/files.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPLAY_MAX_BYTES (16u * 1024 * 1024)
#define REPLAY_MUTATIONS 64

static void replay(const struct buf *b)
{
    uint32_t seed = 1;

    LLVMFuzzerTestOneInput(b->data, b->len);
    for (int i = 0; i < REPLAY_MUTATIONS && b->len > 0; i++) {
        /* an exact allocation, so that ASan sees the end */
        size_t len = b->len;
        uint8_t *copy;

        seed = seed * 1664525u + 1013904223u;
        if (i & 1)
            len = seed % (b->len + 1);
        copy = malloc(len ? len : 1);
        if (!copy)
            abort();
        for (size_t n = 0; n < len; n++)
            copy[n] = b->data[n];
        if (len) {
            seed = seed * 1664525u + 1013904223u;
            copy[seed % len] ^= (uint8_t)(1u << (seed >> 29));
        }
        LLVMFuzzerTestOneInput(copy, len);
        free(copy);
    }
}

int main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        struct dirent *d;

        if (!dir) {
            perror(argv[i]);
            return 1;
        }
        while ((d = readdir(dir)) != NULL) {
            struct buf b = {0};
            char *path;

            if (d->d_name[0] == '.')
                continue;
            path = mem_printf("%s/%s", argv[i], d->d_name);
            if (file_read(path, REPLAY_MAX_BYTES, &b, NULL) != 0) {
                fprintf(stderr, "%s: cannot read\n", path);
                return 1;
            }
            replay(&b);
            buf_free(&b);
            free(path);
            count++;
        }
        closedir(dir);
    }
    printf("%d inputs replayed\n", count);
    return count > 0 ? 0 : 1;
}
