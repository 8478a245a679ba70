/* SPDX-License-Identifier: MIT */
/* What an archive is, and where its entries stand in the snapshot.
 *
 * Ours (/meta.json and /verify/SHA256SUMS): everything stays, every file must
 * be listed with its checksum, and every listed file must be there.
 *
 * OpenClaw's (<root>/manifest.json, schemaVersion 1): the payload lies under
 * <root>/payload/posix/<absolute path>. What is below the state folder goes
 * to the section that its name says, the rest of it to data/other; further
 * workspaces to data/workspace; anything else to data/other/outside.
 * meta.json and the checksums are made here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fnmatch.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "controller/jobs/import_internal.h"

#define PAYLOAD "payload/posix"
#define MAX_WORKSPACES 200
#define OUTSIDE "data/other/outside"

/* ---- ours ---- */

static int by_name(const void *a, const void *b)
{
    const struct import_entry *const *x = a, *const *y = b;

    return strcmp((*x)->path, (*y)->path);
}

/* Undo sha256sum's escapes, which a leading '\' of the line announces. */
static char *sums_name(const char *line, size_t len, bool escaped)
{
    char *out = mem_alloc(len + 1);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        char c = line[i];

        if (escaped && c == '\\' && i + 1 < len) {
            c = line[++i];
            c = c == 'n' ? '\n' : c == 'r' ? '\r' : c;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return out;
}

static int check_line(struct import *im, const char *line, size_t len,
                      struct import_entry **files, size_t count, bool *seen)
{
    struct import_entry key = {0}, *key_p = &key, **found;
    bool escaped = len > 0 && line[0] == '\\';
    char hex[ID_HEX_LEN + 1];
    struct id sum;

    line += escaped;
    len -= escaped;
    if (len < ID_HEX_LEN + 3)
        return error_set(im->e, OCM_E_DAMAGED, "verify/SHA256SUMS is broken");
    memcpy(hex, line, ID_HEX_LEN);
    hex[ID_HEX_LEN] = '\0';
    if (!id_parse(hex, &sum) || line[ID_HEX_LEN] != ' ')
        return error_set(im->e, OCM_E_DAMAGED, "verify/SHA256SUMS is broken");
    key.path = sums_name(line + ID_HEX_LEN + 2, len - ID_HEX_LEN - 2, escaped);
    found = bsearch(&key_p, files, count, sizeof(*files), by_name);
    if (!found)
        error_set(im->e, OCM_E_DAMAGED, "%s is missing in the archive",
                  key.path);
    else if (!id_equal(&(*found)->sum, &sum))
        error_set(im->e, OCM_E_DAMAGED, "%s does not fit its checksum",
                  key.path);
    else
        seen[found - files] = true;
    free(key.path);
    return found && seen[found - files] ? 0 : OCM_E_DAMAGED;
}

static int check_sums(struct import *im, struct import_entry **files,
                      size_t count, bool *seen)
{
    const char *at = buf_str(&im->sums), *end = at + im->sums.len;
    int rc = 0;

    for (size_t i = 1; rc == 0 && i < count; i++) {
        if (strcmp(files[i - 1]->path, files[i]->path) == 0)
            rc = error_set(im->e, OCM_E_DENIED, "%s stands twice in it",
                           files[i]->path);
    }
    while (rc == 0 && at < end) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        size_t len = nl ? (size_t)(nl - at) : (size_t)(end - at);

        rc = check_line(im, at, len, files, count, seen);
        at += len + 1;
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!seen[i] && strcmp(files[i]->path, "verify/SHA256SUMS") != 0)
            rc = error_set(im->e, OCM_E_DAMAGED,
                           "%s stands in no line of verify/SHA256SUMS",
                           files[i]->path);
    }
    return rc;
}

static int map_ours(struct import *im)
{
    struct import_entry **files = mem_array(im->count + 1, sizeof(*files));
    bool *seen = mem_array(im->count + 1, sizeof(*seen));
    json_t *meta = json_loadb((const char *)im->meta.data, im->meta.len,
                              JSON_REJECT_DUPLICATES, NULL);
    json_t *sections = json_object_get(meta, "sections"), *s;
    size_t count = 0, i;
    int rc = 0;

    for (i = 0; i < im->count; i++) {
        if (im->entries[i].type == TREE_FILE)
            files[count++] = &im->entries[i];
    }
    qsort(files, count, sizeof(*files), by_name);
    if (!json_is_object(meta))
        rc = error_set(im->e, OCM_E_DAMAGED, "meta.json cannot be read");
    if (rc == 0)
        rc = check_sums(im, files, count, seen);
    json_array_foreach(sections, i, s)
    {
        const char *state = json_string_value(json_object_get(s, "state"));

        json_array_append(im->sections, s);
        im->partial = im->partial || (state && strcmp(state, "partial") == 0);
    }
    im->format = "ocm";
    json_decref(meta);
    free(files);
    free(seen);
    return rc;
}

/* ---- OpenClaw's ---- */

/* A segment's `*` crosses no '/', a final "/+" is all below. The first line
 * that fits decides. Names of all eras, as the agent's table has them. */
static const struct {
    const char *pattern, *area, *section;
} map[] = {
    {"openclaw.json*", "config", "gateway"},
    {"clawdbot.json*", "config", "gateway"},
    {"moltbot.json*", "config", "gateway"},
    {".env", "config", "env"},
    {"gateway.systemd.env", "config", "env"},
    {"node.systemd.env", "config", "env"},
    {"secrets.json", "config", "credentials"},
    {"oauth.json", "config", "credentials"},
    {"credentials/+", "config", "credentials"},
    {"agents/*/agent/auth*.json*", "config", "credentials"},
    {"agents/*/agent/oauth*.json", "config", "credentials"},
    {"agents/*/agent/codex-home/+", "config", "credentials"},
    {"agents/*/agent/openclaw-agent.sqlite", "data", "sessions"},
    {"agents/*/agent/+", "config", "agents"},
    {"agents/*/sessions/+", "data", "sessions"},
    {"agents/*/session-sqlite-import-archive/+", "data", "sessions"},
    {"agents/*/qmd/+", "data", "memory"},
    {"state/+", "config", "state"},
    {"plugin-state/+", "config", "state"},
    {"identity/+", "config", "state"},
    {"devices/+", "config", "state"},
    {"nodes/+", "config", "state"},
    {"bindings/+", "config", "state"},
    {"settings/+", "config", "state"},
    {"exec-approvals.json", "config", "state"},
    {"config-journal-fingerprint.key", "config", "state"},
    {"cron/runs/+", "data", "sessions"},
    {"cron/+", "config", "cron"},
    {"sessions/+", "data", "sessions"},
    {"subagents/+", "data", "sessions"},
    {"tasks/+", "data", "sessions"},
    {"extensions/+", "config", "skills"},
    {"plugins/+", "config", "skills"},
    {"skills/+", "config", "skills"},
    {"hooks/+", "config", "skills"},
    {"memory/+", "data", "memory"},
    {"workspace/+", "data", "workspace"},
    {"workspace-*/+", "data", "workspace"},
    {"media/+", "data", "media"},
    {"browser/+", "data", "browser"},
    {"logs/+", "data", "logs"},
};
#define MAP_OTHER ARRAY_LEN(map) /* data/other */

static bool fits(const char *pattern, const char *rel)
{
    size_t len = strlen(pattern);
    char head[128];
    const char *cut;

    if (!text_has_suffix(pattern, "/+"))
        return fnmatch(pattern, rel, FNM_PATHNAME) == 0;
    snprintf(head, sizeof(head), "%.*s", (int)len - 2, pattern);
    /* as many parts of `rel` as the pattern has */
    cut = rel;
    for (const char *p = head; *p; p++) {
        if (*p == '/' && (cut = strchr(cut, '/')) == NULL)
            return false;
        cut += *p == '/';
    }
    cut += strcspn(cut, "/");
    {
        char *part = mem_strndup(rel, (size_t)(cut - rel));
        bool ok = fnmatch(head, part, FNM_PATHNAME) == 0;

        free(part);
        return ok;
    }
}

struct upstream {
    struct import *im;
    char *payload; /* "<root>/payload/posix" */
    char *state;   /* state folder, without the first '/' */
    char *workspaces[MAX_WORKSPACES];
    size_t workspace_count;
    uint64_t files[MAP_OTHER + 1], bytes[MAP_OTHER + 1];
};

static const char *area_of(size_t row)
{
    return row == MAP_OTHER ? "data" : map[row].area;
}

static const char *section_of_row(size_t row)
{
    return row == MAP_OTHER ? "other" : map[row].section;
}

/* The first row of the same section: sums are kept there. */
static size_t section_row(size_t row)
{
    for (size_t i = 0; i < row; i++) {
        if (strcmp(section_of_row(i), section_of_row(row)) == 0)
            return i;
    }
    return row;
}

static void place(struct upstream *u, struct import_entry *en, size_t row,
                  const char *rel)
{
    char *path = mem_printf("%s/%s/%s", area_of(row), section_of_row(row), rel);
    size_t sums = section_row(row);

    free(en->path);
    en->path = path;
    u->files[sums] += en->type == TREE_FILE;
    u->bytes[sums] += en->size;
}

static size_t workspace_row(void)
{
    size_t row = 0;

    while (row < MAP_OTHER && strcmp(map[row].section, "workspace") != 0)
        row++;
    return row;
}

/* `at`: the path on the node, without the first '/'. */
static void place_entry(struct upstream *u, struct import_entry *en,
                        const char *at)
{
    size_t row = 0;
    char *rel;

    if (path_is_below(at, u->state)) {
        const char *below = at + strlen(u->state);

        if (!*below) { /* the state folder itself */
            free(en->path);
            en->path = NULL;
            return;
        }
        while (row < MAP_OTHER && !fits(map[row].pattern, below + 1))
            row++;
        rel = mem_strdup(below + 1);
    } else {
        size_t i = 0;

        while (i < u->workspace_count && !path_is_below(at, u->workspaces[i]))
            i++;
        row = i < u->workspace_count ? workspace_row() : MAP_OTHER;
        if (i < u->workspace_count)
            rel = mem_printf("outside-%zu%s", i + 1,
                             at + strlen(u->workspaces[i]));
        else
            rel = mem_printf("outside/%s", at);
    }
    place(u, en, row, rel);
    free(rel);
}

/* Folders that lead to the state folder or a workspace hold nothing. */
static bool leads_on(const struct upstream *u, const char *at)
{
    if (path_is_below(u->state, at))
        return strcmp(u->state, at) != 0;
    for (size_t i = 0; i < u->workspace_count; i++) {
        if (path_is_below(u->workspaces[i], at) &&
            strcmp(u->workspaces[i], at) != 0)
            return true;
    }
    return false;
}

static void place_all(struct upstream *u)
{
    size_t len = strlen(u->payload);

    for (size_t i = 0; i < u->im->count; i++) {
        struct import_entry *en = &u->im->entries[i];
        const char *at = en->path + len;

        if (strncmp(en->path, u->payload, len) != 0 || *at != '/' ||
            (en->type == TREE_DIR && leads_on(u, at + 1))) {
            free(en->path);
            en->path = NULL;
        } else {
            place_entry(u, en, at + 1);
        }
    }
}

/* What OpenClaw left out on its own is no part of a complete backup. */
static void note_skipped(struct upstream *u, const json_t *manifest)
{
    size_t skipped = json_array_size(json_object_get(manifest, "skipped"));

    if (skipped > 0)
        import_warn(u->im, "openclaw backup create left %zu entries out",
                    skipped);
    for (size_t i = 0; i < u->im->count; i++) {
        const char *path = u->im->entries[i].path;

        if (path && text_has_prefix(path, OUTSIDE))
            import_warn(u->im,
                        "%s: outside of the state folder, kept but not "
                        "restored by OCM",
                        path);
    }
}

static json_t *roots_of(const struct upstream *u, size_t row)
{
    json_t *roots = json_array();

    json_array_append_new(
        roots,
        json_pack("{s:o,s:o}", "at",
                  json_sprintf("%s/%s", area_of(row), section_of_row(row)),
                  "path", json_sprintf("/%s", u->state)));
    for (size_t i = 0;
         row == section_row(workspace_row()) && i < u->workspace_count; i++)
        json_array_append_new(
            roots, json_pack("{s:o,s:o}", "at",
                             json_sprintf("data/workspace/outside-%zu", i + 1),
                             "path", json_sprintf("/%s", u->workspaces[i])));
    return roots;
}

/* Which generation wrote it: by the databases that are there. */
static const char *era_of(const struct import *im)
{
    const char *era = "files";

    for (size_t i = 0; i < im->count; i++) {
        const char *path = im->entries[i].path;

        if (!path)
            continue;
        if (fnmatch("data/sessions/agents/*/agent/openclaw-agent.sqlite", path,
                    FNM_PATHNAME) == 0)
            return "sqlite";
        if (strcmp(path, "config/state/state/openclaw.sqlite") == 0)
            era = "mixed";
    }
    return era;
}

static int write_meta(struct upstream *u, const json_t *manifest)
{
    struct import *im = u->im;
    const char *time =
        json_string_value(json_object_get(manifest, "createdAt"));
    const char *version =
        json_string_value(json_object_get(manifest, "runtimeVersion"));
    char now[CLOCK_TEXT_MAX];
    json_t *meta;
    char *text;
    int rc;

    clock_format(clock_now_ns(), now);
    for (size_t row = 0; row <= MAP_OTHER; row++) {
        if (section_row(row) == row && u->files[row] > 0)
            json_array_append_new(im->sections,
                                  json_pack("{s:s,s:s,s:s,s:I,s:I,s:o}", "name",
                                            section_of_row(row), "area",
                                            area_of(row), "state", "complete",
                                            "files", (json_int_t)u->files[row],
                                            "bytes", (json_int_t)u->bytes[row],
                                            "roots", roots_of(u, row)));
    }
    meta = json_pack(
        "{s:i,s:s,s:{s:s,s:s},s:s,s:s*,s:s,s:{s:o},s:O,s:[],s:i,s:b}", "format",
        1, "time", time ? time : now, "node", "name", im->o->node_name, "id",
        im->o->node_id, "agent", "", "openclaw", version, "era", era_of(im),
        "facts", "state.dir", json_sprintf("/%s", u->state), "sections",
        im->sections, "problems", "problem_count", 0, "imported", 1);
    if (!meta)
        return error_set(im->e, OCM_E_DAMAGED,
                         "manifest.json holds text that "
                         "is not UTF-8");
    text = json_dumps(meta, JSON_INDENT(1));
    json_decref(meta);
    rc = import_add_file(im, "meta.json", text, strlen(text));
    free(text);
    return rc;
}

static int write_sums(struct import *im)
{
    struct buf b = {0};
    int rc;

    for (size_t i = 0; i < im->count; i++) {
        const struct import_entry *en = &im->entries[i];
        char hex[ID_HEX_LEN + 1];

        if (!en->path || en->type != TREE_FILE)
            continue;
        id_hex(&en->sum, hex);
        if (strpbrk(en->path, "\\\n\r"))
            buf_add_byte(&b, '\\');
        buf_printf(&b, "%s  ", hex);
        for (const char *p = en->path; *p; p++) {
            if (*p == '\\')
                buf_add_str(&b, "\\\\");
            else if (*p == '\n')
                buf_add_str(&b, "\\n");
            else if (*p == '\r')
                buf_add_str(&b, "\\r");
            else
                buf_add_byte(&b, (uint8_t)*p);
        }
        buf_add_byte(&b, '\n');
    }
    rc = import_add_file(im, "verify/SHA256SUMS", b.data ? b.data : (void *)"",
                         b.len);
    buf_free(&b);
    return rc;
}

/* An absolute, clean path of the manifest without its first '/'; or NULL. */
static char *manifest_path(const json_t *v)
{
    char *clean = json_is_string(v) ? path_clean(json_string_value(v)) : NULL;
    char *out = clean && clean[1] ? mem_strdup(clean + 1) : NULL;

    free(clean);
    return out;
}

static int read_manifest(struct upstream *u, const json_t *manifest)
{
    const json_t *paths = json_object_get(manifest, "paths");
    const json_t *list = json_object_get(paths, "workspaceDirs");
    const char *root =
        json_string_value(json_object_get(manifest, "archiveRoot"));
    char *clean;

    if (json_integer_value(json_object_get(manifest, "schemaVersion")) != 1)
        return error_set(u->im->e, OCM_E_UNSUPPORTED,
                         "manifest.json is of another schemaVersion than 1");
    u->state = manifest_path(json_object_get(paths, "stateDir"));
    if (!root || !path_is_safe(root, strlen(root)) || !u->state)
        return error_set(u->im->e, OCM_E_DAMAGED,
                         "manifest.json names no archiveRoot or stateDir");
    u->payload = mem_printf("%s/" PAYLOAD, root);
    for (size_t i = 0;
         i < json_array_size(list) && u->workspace_count < MAX_WORKSPACES;
         i++) {
        clean = manifest_path(json_array_get(list, i));
        if (clean && !path_is_below(clean, u->state))
            u->workspaces[u->workspace_count++] = clean;
        else
            free(clean);
    }
    return 0;
}

static int map_upstream(struct import *im)
{
    struct upstream *u = mem_zalloc(sizeof(*u));
    json_t *manifest =
        json_loadb((const char *)im->manifest.data, im->manifest.len,
                   JSON_REJECT_DUPLICATES, NULL);
    int rc;

    u->im = im;
    rc = read_manifest(u, manifest);
    if (rc == 0) {
        place_all(u);
        note_skipped(u, manifest);
        rc = write_meta(u, manifest);
    }
    if (rc == 0)
        rc = write_sums(im);
    im->format = "openclaw";
    json_decref(manifest);
    for (size_t i = 0; i < u->workspace_count; i++)
        free(u->workspaces[i]);
    free(u->payload);
    free(u->state);
    free(u);
    return rc;
}

int import_map(struct import *im)
{
    if (im->meta.len > 0 && im->sums.len > 0)
        return map_ours(im);
    if (im->manifest.len > 0)
        return map_upstream(im);
    return error_set(im->e, OCM_E_UNSUPPORTED,
                     "neither a backup of OCM (no meta.json with "
                     "verify/SHA256SUMS) nor of openclaw backup create (no "
                     "manifest.json)");
}
