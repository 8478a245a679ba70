/* SPDX-License-Identifier: MIT */
#include "controller/bootstrap/agents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define SUMS_MAX 65536

/* "<64 hex>  <name>" or "<64 hex> *<name>" of that name. */
static bool find_sum(const char *text, const char *name, struct id *out)
{
    while (*text) {
        size_t len = strcspn(text, "\n");

        if (len == 66 + strlen(name) && strncmp(text + 66, name, len - 66) == 0)
            return hex_decode(text, 64, out->b, ID_LEN);
        text += len + (text[len] == '\n');
    }
    return false;
}

int agents_read(const char *dir, const char *arch, struct buf *out,
                char sha256[ID_HEX_LEN + 1], struct error *e)
{
    char *name = mem_printf("ocm-agent-%s", arch);
    char *path = path_join(dir, name),
         *sums_path = path_join(dir, "SHA256SUMS");
    struct buf sums = {0};
    struct id want, is;
    int rc = OCM_E_NOTFOUND;

    if (!path_is_safe(name, strlen(name)) || strchr(name, '/')) {
        error_set(e, rc, "'%s' is no architecture", arch);
        goto out;
    }
    rc = file_read(path, AGENT_FILE_MAX, out, e);
    if (rc == -ENOENT)
        rc = error_set(e, OCM_E_NOTFOUND,
                       "no agent for %s: %s is missing (make it with "
                       "deploy/build-static, or name its folder: --agent-dir)",
                       arch, path);
    if (rc == 0)
        rc = file_read(sums_path, SUMS_MAX, &sums, e);
    if (rc < 0)
        goto out;
    is = digest_of(out->data, out->len);
    if (!find_sum(buf_str(&sums), name, &want))
        rc = error_set(e, OCM_E_DAMAGED, "%s says nothing of %s", sums_path,
                       name);
    else if (!id_equal(&want, &is))
        rc = error_set(e, OCM_E_DAMAGED,
                       "%s is not what SHA256SUMS says: it was damaged or "
                       "replaced",
                       path);
    id_hex(&is, sha256);
out:
    buf_free(&sums);
    free(name);
    free(path);
    free(sums_path);
    return rc;
}
