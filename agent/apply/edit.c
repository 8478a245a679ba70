/* SPDX-License-Identifier: MIT */
/* The adaptation, seen from apply: each looked-at file once, what spans them,
 * the digest people agree to; and, when the gateway is down, whether the
 * target is still what the plan was made for. */
#include "agent/apply/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/apply/swap.h"
#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static bool port_is_free(void *arg, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    bool is_free;

    (void)arg;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    to.sin_addr.s_addr = htonl(INADDR_ANY);
    is_free = fd >= 0 && bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
    if (fd >= 0)
        close(fd);
    return is_free;
}

static bool path_exists(void *arg, const char *path)
{
    return target_will_exist(arg, path);
}

static struct adapt_options options_of(struct apply *a)
{
    const struct apply_options *o = a->o;

    return (struct adapt_options){
        .intention = o->intention,
        .source = &a->snap.facts,
        .target = &a->target.facts,
        .source_era = (int)a->snap.era,
        .target_era = (int)a->target.era,
        .target_state_dir = a->target.state_dir,
        .rules = o->rules,
        .rule_count = o->rule_count,
        .upgrade_state = o->upgrade_state,
        .row_sections = a->row_sections,
        .row_section_count = a->row_section_count,
        .channels_on = o->channels_on,
        .skip_edits = o->skip_edits,
        .skip_count = o->skip_count,
        .seed = o->seed,
        .node_key = o->node_key,
        .helper = o->helper,
        .port_is_free = port_is_free,
        .path_exists = path_exists,
        .arg = a,
    };
}

int edit_begin(struct apply *a, struct error *e)
{
    struct adapt_options o = options_of(a);

    if (!facts_get(&a->snap.facts, "state.dir"))
        return error_set(e, OCM_E_DAMAGED,
                         "the backup does not say where its state was");
    a->adapt = adapt_new(&o, &a->out->plan);
    return 0;
}

void edit_end(struct apply *a)
{
    adapt_free(a->adapt);
    a->adapt = NULL;
    for (size_t i = 0; i < a->merged_count; i++) {
        free(a->merged[i].source);
        free(a->merged[i].live);
    }
    free(a->merged);
    a->merged = NULL;
    a->merged_count = a->merged_cap = 0;
}

/* ---- one file ---- */

/* Paths of one file, as adapt_file borrows them. */
struct paths {
    struct buf at, staged, live;
};

static struct adapt_file file_of(const struct apply *a, uint32_t entry,
                                 struct paths *p)
{
    const struct snap *s = &a->snap;
    const struct snap_root *r = &s->roots[s->entries[entry].root];

    snap_path(s, entry, &p->at);
    stage_path(a, entry, &p->staged);
    target_path(a, entry, &p->live);
    return (struct adapt_file){
        .section = s->sections[r->section].name,
        .at = buf_str(&p->at),
        .staged = buf_str(&p->staged),
        .live = buf_str(&p->live),
        .kind = section_file_kind(s->era, buf_str(&p->at)),
        .action = s->sections[r->section].action,
    };
}

static void paths_free(struct paths *p)
{
    buf_free(&p->at);
    buf_free(&p->staged);
    buf_free(&p->live);
}

static bool is_database(enum file_kind kind)
{
    return kind == KIND_STATE_DB || kind == KIND_AGENT_DB ||
           kind == KIND_OTHER_DB;
}

/* What a database is right now: its file and its write-ahead log. */
static void stamp(const char *live, uint64_t out[8])
{
    char *wal = mem_printf("%s-wal", live);
    struct stat st;

    memset(out, 0, 8 * sizeof(*out));
    for (int i = 0; i < 2; i++) {
        if (lstat(i ? wal : live, &st) < 0)
            continue;
        out[i * 4] = st.st_ino;
        out[i * 4 + 1] = (uint64_t)st.st_size;
        out[i * 4 + 2] = (uint64_t)st.st_mtim.tv_sec;
        out[i * 4 + 3] = (uint64_t)st.st_mtim.tv_nsec;
    }
    free(wal);
}

/* Keep the source's database as it came, to merge it once more later. */
static int remember_merge(struct apply *a, uint32_t entry,
                          const struct adapt_file *f, struct error *e)
{
    const struct place *p = &a->places[a->snap.entries[entry].place];
    struct merged *m;
    int rc;

    a->merged = mem_grow(a->merged, &a->merged_cap, a->merged_count + 1,
                         sizeof(*a->merged));
    m = &a->merged[a->merged_count];
    *m = (struct merged){
        .entry = entry,
        .source = mem_printf("%s/source-%zu", a->stages[p->stage].dir,
                             a->merged_count),
        .live = mem_strdup(f->live),
    };
    a->merged_count++;
    stamp(f->live, m->stamp);
    rc = swap_copy_over(f->staged, m->source, true);
    if (rc < 0) {
        errno = -rc;
        return error_errno(e, "keeping a copy of %s", f->at);
    }
    return 0;
}

static int edit_one(struct apply *a, uint32_t entry, struct error *e)
{
    struct snap_entry *n = &a->snap.entries[entry];
    struct paths p = {0};
    struct adapt_file f = file_of(a, entry, &p);
    bool merge =
        f.action == ACTION_MERGE && is_database(f.kind) && file_exists(f.live);
    struct error why = {0};
    int rc = merge ? remember_merge(a, entry, &f, e) : 0;

    if (rc == 0) {
        rc = adapt_file(a->adapt, &f, &why);
        if (rc == OCM_E_CANCELLED || rc == OCM_E_SPACE || rc == -ENOSPC) {
            if (e)
                *e = why;
        } else if (rc < 0) {
            plan_warn(&a->out->plan, "not-adapted", true, f.section, f.at, "",
                      "%s: leave the section out, or choose another backup",
                      why.text);
            rc = 0;
        }
    }
    if (rc == 0 && !file_exists(f.staged))
        n->flags |= SNAP_GONE;
    paths_free(&p);
    return rc;
}

/* ---- all of them ---- */

/* Modification time and inode of the staged copies, before and after. */
static uint64_t staged_stamp(const struct apply *a, uint32_t entry)
{
    struct buf path = {0};
    struct stat st = {0};

    stage_path(a, entry, &path);
    lstat(buf_str(&path), &st);
    buf_free(&path);
    return (uint64_t)st.st_mtim.tv_sec * 1000000000u +
           (uint64_t)st.st_mtim.tv_nsec + ((uint64_t)st.st_ino << 40) +
           ((uint64_t)st.st_size << 20);
}

static void digest_text(struct digest *d, const char *s)
{
    digest_add(d, s, strlen(s) + 1);
}

/* Over everything a person agrees to. */
static void make_digest(struct apply *a)
{
    struct apply_result *out = a->out;
    struct id plan = plan_digest(&out->plan);
    uint8_t intention = (uint8_t)a->o->intention;
    struct digest d;

    digest_init(&d);
    digest_add(&d, &intention, 1);
    digest_add(&d, a->o->root.b, ID_LEN);
    digest_add(&d, out->facts_digest.b, ID_LEN);
    digest_add(&d, plan.b, ID_LEN);
    for (size_t i = 0; i < out->section_count; i++) {
        digest_text(&d, out->sections[i].name);
        digest_text(&d, out->sections[i].action);
        digest_text(&d, out->sections[i].target);
    }
    out->digest = digest_end(&d);
}

/* Does the section come as rows of the state database? */
static bool comes_as_rows(const struct apply *a, const struct snap_section *s)
{
    for (size_t i = 0; i < a->row_section_count; i++)
        if (strcmp(a->row_sections[i], s->name) == 0)
            return s->chosen && s->has_rows;
    return false;
}

static const char *action_name(const struct apply *a,
                               const struct snap_section *s)
{
    bool new_state = a->target.era == ERA_NONE;

    if (s->failed)
        return "keep";
    if (comes_as_rows(a, s))
        return "merge";
    switch (s->action) {
    case ACTION_KEEP:
        return "keep";
    case ACTION_DROP:
        return "drop";
    case ACTION_MERGE:
        return new_state ? "create" : "merge";
    case ACTION_COPY:
    case ACTION_ADAPT:
        break;
    }
    return new_state ? "create" : "replace";
}

static void list_sections(struct apply *a)
{
    struct apply_result *out = a->out;
    const struct snap *s = &a->snap;

    out->sections = mem_array(s->section_count + 1, sizeof(*out->sections));
    for (size_t i = 0; i < s->section_count; i++) {
        const struct snap_section *from = &s->sections[i];
        struct apply_section *to = &out->sections[out->section_count];
        struct buf target = {0};

        if (!from->listed)
            continue;
        for (size_t j = 0; j < s->root_count; j++) {
            const struct snap_root *r = &s->roots[j];

            if (r->section == i && r->target && target.len < 4096) {
                if (target.len > 0)
                    buf_add_str(&target, ", ");
                text_escape(&target, r->shown, strlen(r->shown));
            }
        }
        if (target.len == 0 && comes_as_rows(a, from)) {
            char *db = target_state_db(a);

            text_escape(&target, db, strlen(db));
            free(db);
        }
        memcpy(to->name, from->name, sizeof(to->name));
        memcpy(to->area, from->area, sizeof(to->area));
        to->action = action_name(a, from);
        to->target = buf_str(&target);
        to->files = from->files;
        to->bytes = from->bytes;
        out->section_count++;
    }
}

int edit_staged(struct apply *a, struct error *e)
{
    struct snap *s = &a->snap;
    uint64_t *stamps = mem_array(s->count + 1, sizeof(*stamps));
    int rc = 0;

    for (size_t i = 0; i < s->root_count; i++)
        if (s->roots[i].target && s->roots[i].entry != SNAP_NONE)
            adapt_restored_root(a->adapt, s->roots[i].shown);
    for (uint32_t i = 1; rc == 0 && i < s->count; i++) {
        if (!(s->entries[i].flags & SNAP_LOOK) ||
            !(s->entries[i].flags & SNAP_STAGED) ||
            apply_is_out(a, &s->entries[i]))
            continue;
        stamps[i] = staged_stamp(a, i);
        rc = apply_cancelled(a, e) ? OCM_E_CANCELLED : edit_one(a, i, e);
    }
    if (rc == 0)
        rc = adapt_finish(a->adapt, e);
    for (uint32_t i = 1; rc == 0 && i < s->count; i++)
        if (stamps[i] != 0 && stamps[i] != staged_stamp(a, i))
            s->entries[i].flags |= SNAP_EDITED;
    free(stamps);
    for (size_t i = 0; i < a->out->plan.edit_count; i++)
        a->upgrade |= strcmp(a->out->plan.edits[i].rule, "upgrade") == 0;
    if (rc == 0) {
        list_sections(a);
        make_digest(a);
    }
    return rc;
}

int edit_check_rest(struct apply *a, struct error *e)
{
    struct adapt_options o = options_of(a);
    struct plan plan = {0};
    struct adapt *adapt = adapt_new(&o, &plan);
    int rc = 0;

    for (uint32_t i = 1; rc == 0 && i < a->snap.count; i++) {
        const struct snap_entry *n = &a->snap.entries[i];
        struct error why = {0};
        struct paths p = {0};
        struct adapt_file f;

        if (!(n->flags & SNAP_CHECK) || !(n->flags & SNAP_STAGED) ||
            apply_is_out(a, n))
            continue;
        if (apply_cancelled(a, e)) {
            rc = OCM_E_CANCELLED;
            break;
        }
        f = file_of(a, i, &p);
        if (adapt_file(adapt, &f, &why) < 0)
            apply_fail_section(a, a->snap.roots[n->root].section, why.text);
        paths_free(&p);
    }
    for (size_t i = 0; rc == 0 && i < plan.edit_count; i++)
        apply_log(a, "info", "%s: %s was adapted too (%s)", plan.edits[i].file,
                  plan.edits[i].place, plan.edits[i].rule);
    adapt_free(adapt);
    plan_fini(&plan);
    return rc;
}

/* ---- when the gateway is down ---- */

/* The edit of that id and new value, in a plan; ids are unique. */
static bool has_edit(const struct plan *p, const struct plan_edit *edit)
{
    for (size_t i = 0; i < p->edit_count; i++)
        if (strcmp(p->edits[i].id, edit->id) == 0 &&
            strcmp(p->edits[i].new_value, edit->new_value) == 0)
            return true;
    return false;
}

/* Are the edits of the file at `at` in the plan those made now? */
static bool same_edits(const struct plan *agreed, const char *at,
                       const struct plan *again)
{
    size_t count = 0;

    for (size_t i = 0; i < agreed->edit_count; i++) {
        if (strcmp(agreed->edits[i].file, at) != 0)
            continue;
        count++;
        if (!has_edit(again, &agreed->edits[i]))
            return false;
    }
    return count == again->edit_count;
}

/* The gateway has written to its database since the merge: do it again. */
static int merge_again(struct apply *a, struct merged *m, struct error *e)
{
    struct adapt_options o = options_of(a);
    struct plan plan = {0};
    struct adapt *adapt;
    struct paths p = {0};
    struct adapt_file f = file_of(a, m->entry, &p);
    uint64_t now[8];
    int rc;

    stamp(m->live, now);
    if (memcmp(now, m->stamp, sizeof(now)) == 0) {
        paths_free(&p);
        return 0;
    }
    adapt = adapt_new(&o, &plan);
    plan_fini(&plan); /* what it says of the rules is known already */
    plan = (struct plan){0};
    rc = unlink(f.staged) < 0 ? -errno
                              : swap_copy_over(m->source, f.staged, true);
    if (rc == 0)
        rc = adapt_file(adapt, &f, e);
    else
        error_set(e, rc, "%s could not be staged again", f.at);
    if (rc == 0 && !same_edits(&a->out->plan, f.at, &plan))
        rc = error_set(e, OCM_E_CHANGED,
                       "%s: this node's own database has changed since the "
                       "plan was made: make a new plan",
                       f.at);
    adapt_free(adapt);
    plan_fini(&plan);
    if (rc == 0) {
        a->snap.entries[m->entry].flags |= SNAP_EDITED;
        rc = fetch_attributes_of(a, m->entry, e);
    }
    paths_free(&p);
    return rc;
}

int edit_again(struct apply *a, struct error *e)
{
    struct openclaw now = {0};
    struct buf notes = {0};
    struct id digest;
    int rc = openclaw_detect(&a->conf, &now, &notes, e);

    buf_free(&notes);
    if (rc == 0) {
        digest = facts_digest(&now.facts);
        if (!id_equal(&digest, &a->out->facts_digest))
            rc = error_set(e, OCM_E_CHANGED,
                           "this node has changed since the plan was made: "
                           "make a new plan");
    }
    openclaw_fini(&now);
    for (size_t i = 0; rc == 0 && i < a->merged_count; i++)
        if (!apply_is_out(a, &a->snap.entries[a->merged[i].entry]))
            rc = merge_again(a, &a->merged[i], e);
    return rc;
}
