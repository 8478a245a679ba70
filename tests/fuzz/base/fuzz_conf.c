/* SPDX-License-Identifier: MIT */
/* Any bytes as a config file: refused in one line, or within its bounds. */
#include <stdlib.h>
#include <string.h>

#include "common/base/conf.h"
#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct conf {
    char *text, *path;
    bool flag;
    int64_t number, bytes, time;
    struct conf_list list;
};

#define K(section, key, type, field, fallback, min, max)                       \
    {                                                                          \
        section, key, type, offsetof(struct conf, field), fallback, min, max,  \
            "help"                                                             \
    }

static const struct conf_key keys[] = {
    K("", "text", CONF_STRING, text, "x", 0, 0),
    K("a", "path", CONF_PATH, path, "/x", 0, 0),
    K("a", "flag", CONF_BOOL, flag, "no", 0, 0),
    K("b", "number", CONF_INT, number, "7", -5, 65535),
    K("b", "bytes", CONF_BYTES, bytes, "1G", 0, 0),
    K("b", "time", CONF_TIME, time, "10m", 1000, 86400000),
    K("b", "list", CONF_LIST, list, NULL, 0, 0),
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf c = {0};
    struct error e = {0};
    int rc = conf_parse("file", (const char *)data, size, keys, ARRAY_LEN(keys),
                        &c, &e);

    if (rc < 0 ? !strstr(e.text, "file") || strchr(e.text, '\n') != NULL
               : !c.text || !c.path || c.path[0] != '/' || c.number < -5 ||
                     c.number > 65535 || c.bytes < 0 || c.time < 1000 ||
                     c.time > 86400000)
        abort();
    conf_free(keys, ARRAY_LEN(keys), &c);
    return 0;
}
