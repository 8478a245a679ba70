/* SPDX-License-Identifier: MIT */
/* The shapes that several answers share. */
#include "controller/api/shapes.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "controller/nodes.h"

json_t *shape_time(int64_t ns)
{
    char text[CLOCK_TEXT_MAX];

    if (ns == 0)
        return json_null();
    clock_format(ns, text);
    return json_string(text);
}

json_t *shape_bytes(const char *s, size_t len)
{
    struct buf b = {0};
    json_t *v;

    text_escape(&b, s, len);
    v = json_stringn(b.len ? (const char *)b.data : "", b.len);
    buf_free(&b);
    return v ? v : json_string("");
}

static json_t *last_backup(const struct node *n)
{
    if (n->last_backup_ns == 0 && !n->last_backup_state[0])
        return json_null();
    return json_pack("{s:o,s:s,s:s}", "time", shape_time(n->last_backup_ns),
                     "state", n->last_backup_state, "snapshot",
                     n->last_snapshot);
}

json_t *shape_node(struct controller *c, const struct node *n)
{
    json_t *v = json_object();

    json_object_set_new(v, "id", json_string(n->id));
    json_object_set_new(v, "name", json_string(n->name));
    json_object_set_new(v, "hostname",
                        shape_bytes(n->hostname, strlen(n->hostname)));
    json_object_set_new(
        v, "agent_version",
        shape_bytes(n->agent_version, strlen(n->agent_version)));
    json_object_set_new(v, "platform",
                        shape_bytes(n->platform, strlen(n->platform)));
    json_object_set_new(
        v, "openclaw_version",
        shape_bytes(n->openclaw_version, strlen(n->openclaw_version)));
    json_object_set_new(
        v, "connected",
        json_boolean(!n->revoked && nodes_connected(c->nodes, n->id)));
    json_object_set_new(v, "revoked", json_boolean(n->revoked));
    json_object_set_new(v, "created", shape_time(n->created_ns));
    json_object_set_new(v, "last_seen", shape_time(n->last_seen_ns));
    json_object_set_new(v, "last_backup", last_backup(n));
    json_object_set_new(v, "duplicate_since", shape_time(n->duplicate_ns));
    json_object_set_new(v, "certificate_until",
                        shape_time(n->cert_not_after * 1000000000));
    return v;
}

static json_t *parsed(const char *text)
{
    json_t *v = text ? json_loads(text, 0, NULL) : NULL;

    return v ? v : json_null();
}

json_t *shape_job(const struct job_row *j, bool full)
{
    json_t *v = json_object();

    json_object_set_new(v, "id", json_string(j->id));
    json_object_set_new(v, "kind", json_string(j->kind));
    json_object_set_new(v, "node", json_string(j->node));
    json_object_set_new(v, "owner", json_string(j->owner));
    json_object_set_new(v, "state", json_string(j->state));
    json_object_set_new(v, "created", shape_time(j->created_ns));
    json_object_set_new(v, "started", shape_time(j->started_ns));
    json_object_set_new(v, "ended", shape_time(j->ended_ns));
    json_object_set_new(
        v, "error",
        j->error ? json_pack("{s:s,s:o}", "code", j->error_code, "text",
                             shape_bytes(j->error, strlen(j->error)))
                 : json_null());
    if (full) {
        json_object_set_new(v, "params", parsed(j->params));
        json_object_set_new(v, "result", parsed(j->result));
    }
    return v;
}

bool shape_has_tag(const struct snapshot *s, const char *tag)
{
    for (size_t i = 0; i < s->tag_count; i++) {
        if (strcmp(s->tags[i], tag) == 0)
            return true;
    }
    return false;
}

static json_t *text_or_null(const char *s)
{
    return s ? shape_bytes(s, strlen(s)) : json_null();
}

json_t *shape_snapshot(const struct snapshot *s)
{
    json_t *v = json_object(), *tags = json_array();
    char hex[ID_HEX_LEN + 1];

    for (size_t i = 0; i < s->tag_count; i++)
        json_array_append_new(tags, text_or_null(s->tags[i]));
    id_hex(&s->id, hex);
    json_object_set_new(v, "id", json_string(hex));
    json_object_set_new(v, "time", shape_time(s->time_ns));
    json_object_set_new(v, "node", text_or_null(s->hostname));
    json_object_set_new(v, "node_id", text_or_null(snapshot_tag(s, "node")));
    json_object_set_new(v, "job", text_or_null(snapshot_tag(s, "job")));
    json_object_set_new(v, "state",
                        json_string(shape_has_tag(s, "partial") ? "partial"
                                    : shape_has_tag(s, "selected")
                                        ? "selected"
                                        : "complete"));
    json_object_set_new(v, "safety", json_boolean(shape_has_tag(s, "safety")));
    json_object_set_new(v, "tags", tags);
    json_object_set_new(v, "program", text_or_null(s->program_version));
    return v;
}

const char *shape_type(enum tree_type t)
{
    switch (t) {
    case TREE_FILE:
        return "file";
    case TREE_DIR:
        return "dir";
    case TREE_SYMLINK:
        return "symlink";
    default:
        return "other";
    }
}

json_t *shape_entry(const char *path, const struct tree_node *n)
{
    json_t *v = json_object();

    json_object_set_new(v, "path", shape_bytes(path, strlen(path)));
    json_object_set_new(v, "type", json_string(shape_type(n->type)));
    json_object_set_new(v, "mode",
                        json_sprintf("%04o", (unsigned)(n->mode & 07777)));
    json_object_set_new(v, "mtime", shape_time(n->mtime_ns));
    if (n->type == TREE_FILE)
        json_object_set_new(v, "size", json_integer((json_int_t)n->size));
    if (n->type == TREE_SYMLINK)
        json_object_set_new(v, "target",
                            shape_bytes(n->linktarget, strlen(n->linktarget)));
    return v;
}
