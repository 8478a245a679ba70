/* SPDX-License-Identifier: MIT */
/* An image of a node that is started on a second machine has its key, too.
 *
 * Each agent process has a random name. A process that ended never comes
 * back: when the name before the newest says Hello again, two processes live
 * with one identity. No fact of the hardware is asked, so that a disk may move
 * to another machine and a machine may be restored; and it does not matter
 * what an image takes along. From then on the node is marked, until a person
 * says otherwise; of two that are connected the first stays. */
#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "controller/catalog/catalog_internal.h"

#define INSTANCES 8 /* names kept of a node, newest first, in hex */
#define INSTANCE_HEX ((size_t)CATALOG_INSTANCE_LEN * 2)

struct instances {
    char names[INSTANCES * INSTANCE_HEX + 1];
    int64_t duplicate_ns;
};

static int load(struct catalog *c, const char *id, struct instances *out,
                struct error *e)
{
    sqlite3_stmt *st = NULL;
    int rc = catalog_prepare(
        c, &st, e, "SELECT instances, duplicate_ns FROM nodes WHERE id = ?",
        "s", id);

    if (rc == 0)
        rc = catalog_step(c, st, e);
    if (rc == 1) {
        column_copy(st, 0, out->names, sizeof(out->names));
        out->duplicate_ns = sqlite3_column_int64(st, 1);
        rc = 0;
    } else if (rc == 0) {
        rc = error_set(e, OCM_E_NOTFOUND, "no node '%s'", id);
    }
    sqlite3_finalize(st);
    return rc;
}

static int save(struct catalog *c, const char *id, const struct instances *in,
                struct error *e)
{
    return catalog_exec(c, e,
                        "UPDATE nodes SET instances = ?, duplicate_ns = ? "
                        "WHERE id = ?",
                        "sis", in->names, in->duplicate_ns, id);
}

/* Its place, 0 being the newest; -1 when it is not among them. */
static int place_of(const struct instances *in, const char *name)
{
    for (size_t i = 0; i * INSTANCE_HEX < strlen(in->names); i++) {
        if (strncmp(in->names + i * INSTANCE_HEX, name, INSTANCE_HEX) == 0)
            return (int)i;
    }
    return -1;
}

static void put_first(struct instances *in, const char *name, int place)
{
    char *n = in->names;
    size_t before = place < 0 ? strlen(n) : (size_t)place * INSTANCE_HEX;

    if (before > (INSTANCES - 1) * INSTANCE_HEX)
        before = (INSTANCES - 1) * INSTANCE_HEX;
    memmove(n + INSTANCE_HEX, n, before);
    memcpy(n, name, INSTANCE_HEX);
}

int catalog_node_instance(struct catalog *c, const char *id,
                          const uint8_t instance[CATALOG_INSTANCE_LEN],
                          bool connected, int64_t now_ns,
                          struct instance_verdict *out, struct error *e)
{
    struct instances in = {0};
    char name[INSTANCE_HEX + 1];
    int rc, place;

    *out = (struct instance_verdict){0};
    hex_encode(instance, CATALOG_INSTANCE_LEN, name);
    catalog_lock(c);
    rc = load(c, id, &in, e);
    place = place_of(&in, name);
    if (rc == 0 && place != 0) {
        out->fresh = place > 0 && in.duplicate_ns == 0;
        if (out->fresh)
            in.duplicate_ns = now_ns;
        out->refuse = in.duplicate_ns != 0 && connected;
        if (!out->refuse)
            put_first(&in, name, place);
        if (!out->refuse || out->fresh)
            rc = save(c, id, &in, e);
    }
    catalog_unlock(c);
    return rc;
}

int catalog_node_single(struct catalog *c, const char *id, struct error *e)
{
    struct instances in = {0};
    int rc;

    catalog_lock(c);
    rc = load(c, id, &in, e);
    if (rc == 0) {
        in.names[INSTANCE_HEX] = '\0'; /* the one that is or was connected */
        in.duplicate_ns = 0;
        rc = save(c, id, &in, e);
    }
    catalog_unlock(c);
    return rc;
}

int node_check_single(const struct node *n, struct error *e)
{
    if (n->duplicate_ns == 0)
        return 0;
    return error_set(e, OCM_E_DENIED,
                     "%s: the same identity runs on two machines; join one of "
                     "them again (ocmctl node token), then: ocmctl node single "
                     "%s",
                     n->name, n->name);
}
