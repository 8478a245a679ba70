/* SPDX-License-Identifier: MIT */
/* files, cat, diff, export, import. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "controller/cli/cli_internal.h"

static char type_letter(const json_t *e)
{
    const char *type = text_of(e, "type");

    return strcmp(type, "dir") == 0       ? 'd'
           : strcmp(type, "symlink") == 0 ? 'l'
           : strcmp(type, "file") == 0    ? '-'
                                          : '?';
}

int cmd_files(struct cli *c)
{
    static const char *const heads[] = {"MODE", "SIZE", "TIME", "PATH"};
    char *id = client_escape(c->args[0]);
    char *path = client_escape(c->arg_count > 1 ? c->args[1] : "");
    int code = 0;
    json_t *doc, *e;
    struct table *t;
    size_t i;

    doc = client_get(c, &code, "/api/v1/snapshots/%s/files?path=%s%s", id, path,
                     arg_flag(c, "recursive") ? "&recursive=1" : "");
    free(id);
    free(path);
    if (!doc)
        return code;
    if (c->json) {
        give_json(c, doc);
        json_decref(doc);
        return CLI_EXIT_OK;
    }
    t = table_new(heads, ARRAY_LEN(heads));
    table_right(t, 1);
    json_array_foreach(json_object_get(doc, "entries"), i, e)
    {
        bool is_file = json_object_get(e, "size") != NULL;
        const char *target = text_of(e, "target");
        char mode[16];
        char *name = mem_printf("%s%s%s", text_of(e, "path"),
                                *target ? " -> " : "", target);

        snprintf(mode, sizeof(mode), "%c%s", type_letter(e),
                 text_of(e, "mode"));
        table_cell(t, TONE_DIM, mode);
        table_cell(t, TONE_NONE,
                   is_file ? bytes_text(number_of(e, "size")) : "");
        table_cell(t, TONE_DIM, local_time(text_of(e, "mtime")));
        table_cell(t, type_letter(e) == 'd' ? TONE_BOLD : TONE_NONE, name);
        free(name);
    }
    table_give(c, t);
    if (json_is_true(json_object_get(doc, "truncated")))
        complain(c, "there are more: give a path");
    json_decref(doc);
    return CLI_EXIT_OK;
}

/* ---- contents ---- */

struct sink {
    struct cli *c;
    FILE *file;
    bool escape; /* a terminal: what is no text is shown as \xNN */
    bool tail;   /* the last byte was no end of line */
};

static int write_sink(void *arg, const void *p, size_t len)
{
    struct sink *s = arg;
    const char *at = p;

    if (!s->escape)
        return fwrite(p, 1, len, s->file) == len ? 0 : -1;
    for (size_t i = 0; i < len; i++) {
        unsigned char b = (unsigned char)at[i];

        if ((b < 0x20 && b != '\n' && b != '\t') || b == 0x7f)
            fprintf(s->file, "\\x%02x", b);
        else
            fputc(b, s->file);
    }
    return ferror(s->file) ? -1 : 0;
}

int cmd_cat(struct cli *c)
{
    struct sink s = {.c = c, .file = c->io->out, .escape = c->io->tty_out};
    char *id = client_escape(c->args[0]), *path = client_escape(c->args[1]);
    char *target = mem_printf("/api/v1/snapshots/%s/file?path=%s", id, path);
    int code;

    if (c->json)
        code = usage_error(c, "cat gives a file, not JSON");
    else
        code = client_download(c, target, write_sink, &s);
    free(target);
    free(path);
    free(id);
    return code;
}

int cmd_diff(struct cli *c)
{
    char *a = client_escape(c->args[0]), *b = client_escape(c->args[1]);
    char *path = client_escape(c->arg_count > 2 ? c->args[2] : "");
    bool stat_only = arg_flag(c, "stat");
    int code = 0;
    json_t *doc;

    doc = client_get(c, &code, "/api/v1/snapshots/%s/diff/%s?path=%s%s", a, b,
                     path, stat_only ? "&stat=1" : "");
    free(a);
    free(b);
    free(path);
    if (!doc)
        return code;
    if (c->json)
        give_json(c, doc);
    else
        diff_show(c, doc, stat_only);
    json_decref(doc);
    return CLI_EXIT_OK;
}

/* ---- archives ---- */

/* Beside the file that it becomes; never over one that is there. */
static int export_to_file(struct cli *c, const char *target, const char *path)
{
    char *part = mem_printf("%s.part", path);
    struct sink s = {.c = c};
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int code;

    if (fd < 0 || !(s.file = fdopen(fd, "wb"))) {
        complain(c, "%s: %s%s", part, strerror(errno),
                 errno == EEXIST ? ": left by an export that was broken off, "
                                   "remove it"
                                 : "");
        if (fd >= 0)
            close(fd);
        free(part);
        return CLI_EXIT_FAILED;
    }
    code = client_download(c, target, write_sink, &s);
    if (code == 0 && (fflush(s.file) != 0 || fsync(fd) != 0))
        code = fail_with(c, "failed", "writing failed");
    fclose(s.file);
    /* link, not rename: it fails when the name was taken meanwhile */
    if (code == 0 && link(part, path) < 0) {
        complain(c, "%s: %s", path, strerror(errno));
        code = CLI_EXIT_FAILED;
    }
    unlink(part);
    free(part);
    return code;
}

static void tell_written(struct cli *c, const char *path)
{
    json_t *doc;

    say(c,
        "%s is written. To check it: tar xf it, then sha256sum -c "
        "verify/SHA256SUMS",
        safe(path));
    if (!c->json)
        return;
    doc = json_pack("{s:i,s:s}", "schemaVersion", 1, "file", safe(path));
    give_json(c, doc);
    json_decref(doc);
}

int cmd_export(struct cli *c)
{
    const char *path = c->args[1];
    char *id = client_escape(c->args[0]);
    char *target = mem_printf("/api/v1/snapshots/%s/export", id);
    struct sink s = {.c = c, .file = c->io->out};
    int code;

    if (strcmp(path, "-") == 0) {
        code = c->json ? usage_error(c, "--json needs a FILE for the archive")
               : c->io->tty_out
                   ? usage_error(c, "an archive is nothing for a terminal")
                   : client_download(c, target, write_sink, &s);
    } else if (file_exists(path)) {
        complain(c, "%s exists already", path);
        code = CLI_EXIT_FAILED;
    } else {
        code = export_to_file(c, target, path);
        if (code == 0)
            tell_written(c, path);
    }
    free(target);
    free(id);
    return code;
}

static int wait_for_import(struct cli *c, const json_t *doc)
{
    json_t *job = NULL;
    const json_t *r, *w;
    size_t i;
    int code = watch_job(c, text_of(doc, "job"), "import", &job);

    if (!job)
        return code;
    r = json_object_get(job, "result");
    if (c->json) {
        give_job(c, job);
    } else if (json_is_object(r)) {
        json_array_foreach(json_object_get(r, "warnings"), i, w)
        {
            complain(c, "%s", json_string_value(w));
        }
        fprintf(c->io->out, "snapshot %.8s, %s files, %s\n",
                safe(text_of(r, "snapshot")), count_text(number_of(r, "files")),
                bytes_text(number_of(r, "bytes")));
    }
    code = exit_of_job(c, job);
    json_decref(job);
    return code;
}

int cmd_import(struct cli *c)
{
    const char *node = arg_option(c, "node");
    FILE *file;
    struct stat st;
    char *escaped, *target;
    json_t *doc;
    int code = 0;

    if (!node)
        return usage_error(c, "whose backup is it? Give --node NODE");
    file = fopen(c->args[0], "rbe");
    if (!file || fstat(fileno(file), &st) < 0 || !S_ISREG(st.st_mode)) {
        complain(c, "%s: %s", c->args[0],
                 file ? "not a regular file" : strerror(errno));
        if (file)
            fclose(file);
        return CLI_EXIT_FAILED;
    }
    escaped = client_escape(node);
    target = mem_printf("/api/v1/imports?node=%s", escaped);
    doc = client_upload(c, &code, target, file, st.st_size);
    fclose(file);
    free(escaped);
    free(target);
    if (!doc)
        return code;
    if (!arg_flag(c, "detach"))
        code = wait_for_import(c, doc);
    else if (c->json)
        give_json(c, doc);
    else
        fprintf(c->io->out, "%s\n", safe(text_of(doc, "job")));
    json_decref(doc);
    return code;
}
