/* SPDX-License-Identifier: MIT */
/* Any two lines as a pattern and a path, and the path looked for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/adapt/docs/doc.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char source[] = "{a: {'b.c': [1, {d: 2}], '*': 3}, '': 4}";
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    size_t len = line ? (size_t)(line - data) : size;
    char *pattern, *path;
    struct doc_value v;
    struct doc *d;

    if (size > 4096)
        return 0;
    pattern = mem_strndup((const char *)data, len);
    path = line ? mem_strndup((const char *)line + 1, size - len - 1)
                : mem_strdup("");
    doc_pattern_match(pattern, path);
    if (doc_parse(DOC_JSON5, source, sizeof(source) - 1, &d, NULL) != 0)
        abort();
    /* what a path finds has a path that finds it, and fits itself */
    if (doc_find(d, path, &v) &&
        (!doc_pattern_match(v.path, v.path) || !doc_find(d, v.path, &v)))
        abort();
    doc_free(d);
    free(pattern);
    free(path);
    return 0;
}
