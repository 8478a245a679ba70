/* SPDX-License-Identifier: MIT */
/* A snapshot as somebody would write it who has the repository's password and
 * means harm:
 *   hostile_snapshot REPOSITORY PASSWORD_FILE CACHE NODE_ID NODE_NAME < TREE
 * prints its id. TREE is a JSON array of nodes as restic's trees have them,
 * written as it stands, whatever the names are, but for
 *   "text"    becomes "size" and "content" (no blob when it is empty)
 *   "nodes"   becomes the "subtree" of an array of nodes
 *   "bomb": N becomes the "subtree" of N folders in each other, each a thousand
 *             times in the one above it
 * and owner and times, which are added. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "controller/repo/repo.h"

#define WHEN "2024-01-01T00:00:00Z"
#define BOMB_WIDTH 1000

static struct repo_writer *writer;

static struct id put_nodes(json_t *nodes);

static struct id put(enum blob_type type, const char *p, size_t len)
{
    struct error e = {0};
    struct id id;

    if (repo_writer_add(writer, type, p, len, &id, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    return id;
}

static json_t *json_id(struct id id)
{
    char hex[ID_HEX_LEN + 1];

    id_hex(&id, hex);
    return json_string(hex);
}

static struct id put_bomb(json_int_t levels)
{
    json_t *nodes = json_array();
    struct id id;

    if (levels > 0) {
        json_t *below = json_id(put_bomb(levels - 1));

        for (int i = 0; i < BOMB_WIDTH; i++)
            json_array_append_new(nodes, json_pack("{s:o,s:s,s:i,s:O}", "name",
                                                   json_sprintf("%03d", i),
                                                   "type", "dir", "mode", 0700,
                                                   "subtree", below));
        json_decref(below);
    }
    id = put_nodes(nodes);
    json_decref(nodes);
    return id;
}

static void fill(json_t *n)
{
    const char *text = json_string_value(json_object_get(n, "text"));
    json_t *nodes = json_object_get(n, "nodes");
    json_t *bomb = json_object_get(n, "bomb");

    if (text) {
        json_t *content = json_array();

        json_object_set_new(n, "size", json_integer((json_int_t)strlen(text)));
        if (*text)
            json_array_append_new(content,
                                  json_id(put(BLOB_DATA, text, strlen(text))));
        json_object_set_new(n, "content", content);
    }
    if (nodes)
        json_object_set_new(n, "subtree", json_id(put_nodes(nodes)));
    if (bomb)
        json_object_set_new(n, "subtree",
                            json_id(put_bomb(json_integer_value(bomb))));
    json_object_del(n, "text");
    json_object_del(n, "nodes");
    json_object_del(n, "bomb");
    json_object_set_new(n, "mtime", json_string(WHEN));
    json_object_set_new(n, "atime", json_string(WHEN));
    json_object_set_new(n, "ctime", json_string(WHEN));
    json_object_set_new(n, "uid", json_integer(0));
    json_object_set_new(n, "gid", json_integer(0));
}

static struct id put_nodes(json_t *nodes)
{
    char *list, *text;
    struct id id;
    json_t *n;
    size_t i;

    json_array_foreach(nodes, i, n)
    {
        fill(n);
    }
    list = json_dumps(nodes, JSON_COMPACT);
    text = mem_printf("{\"nodes\":%s}\n", list);
    id = put(BLOB_TREE, text, strlen(text));
    free(list);
    free(text);
    return id;
}

static int save(struct repo *r, const char *node_id, const char *node_name,
                struct error *e)
{
    char *tag = mem_printf("node=%s", node_id), hex[ID_HEX_LEN + 1];
    char *paths[] = {(char *)"/"}, *tags[] = {(char *)"ocm", tag};
    struct snapshot s = {.hostname = (char *)node_name,
                         .username = (char *)"",
                         .paths = paths,
                         .path_count = 1,
                         .tags = tags,
                         .tag_count = 2,
                         .program_version = (char *)"hostile"};
    json_error_t why;
    json_t *tree = json_loadf(stdin, 0, &why);
    int rc = 0;

    if (!json_is_array(tree))
        rc = error_set(e, OCM_E_INVALID, "the tree: %s", why.text);
    if (rc == 0) {
        s.tree = put_nodes(tree);
        rc = repo_writer_flush(writer, e);
    }
    if (rc == 0)
        rc = repo_lock(r, false, e);
    if (rc == 0) {
        rc = repo_snapshot_save(r, &s, e);
        repo_unlock(r);
    }
    if (rc == 0) {
        id_hex(&s.id, hex);
        puts(hex);
    }
    json_decref(tree);
    free(tag);
    return rc;
}

int main(int argc, char **argv)
{
    struct repo_options o = {0};
    struct buf password = {0};
    struct repo *r = NULL;
    struct error e = {0};
    int rc;

    if (argc != 6) {
        fprintf(stderr, "usage: hostile_snapshot REPOSITORY PASSWORD_FILE "
                        "CACHE NODE_ID NODE_NAME < TREE\n");
        return 2;
    }
    secret_init();
    log_init("hostile_snapshot", LOG_WARN);
    rc = file_read(argv[2], 4096, &password, &e);
    if (rc == 0) {
        o.dir = argv[1];
        o.cache_dir = argv[3];
        o.password = strtok(buf_str(&password), "\n");
        rc = repo_open(&o, &r, &e);
    }
    if (rc == 0) {
        writer = repo_writer_new(r, argv[4]);
        rc = save(r, argv[4], argv[5], &e);
        repo_writer_free(writer);
        repo_close(r);
    }
    buf_wipe(&password);
    if (rc < 0)
        fprintf(stderr, "%s\n", e.text);
    return rc < 0;
}
