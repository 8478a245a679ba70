/* SPDX-License-Identifier: MIT */
#include "controller/bootstrap/ssh_words.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/files.h"
#include "common/base/mem.h"
#include "common/data/digest.h"

#define KEY_MAX 16384

/* The last of ssh's lines that says something, without its "ssh: ". */
static void last_line(struct buf *text, char *out, size_t cap)
{
    const char *p = buf_str(text);
    size_t len = text->len, start;

    while (len > 0 && (unsigned char)p[len - 1] <= ' ')
        len--;
    for (start = len; start > 0 && p[start - 1] != '\n'; start--)
        ;
    snprintf(out, cap, "%.*s", (int)(len - start), p + start);
}

bool ssh_words_fingerprint(const char *lines, char *out, size_t cap)
{
    const char *type = strchr(lines, ' ');
    const char *key = type ? strchr(type + 1, ' ') : NULL;
    uint8_t *blob;
    size_t len = 0;
    struct id hash;
    bool ok;

    if (!key)
        return false;
    blob = mem_alloc(KEY_MAX);
    ok =
        sodium_base642bin(blob, KEY_MAX, key + 1, strcspn(key + 1, " \n"), NULL,
                          &len, NULL, sodium_base64_VARIANT_ORIGINAL) == 0;
    if (ok) {
        char text[64];

        hash = digest_of(blob, len);
        sodium_bin2base64(text, sizeof(text), hash.b, ID_LEN,
                          sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
        snprintf(out, cap, "SHA256:%s", text);
    }
    free(blob);
    return ok;
}

static int key_changed(struct ssh *s, struct error *e)
{
    const char *now = strstr(buf_str(&s->text), "SHA256:");
    char was[64] = "another one";
    struct buf pins = {0};

    if (file_read(s->hosts, KEY_MAX, &pins, NULL) == 0)
        ssh_words_fingerprint(buf_str(&pins), was, sizeof(was));
    buf_free(&pins);
    if (s->pinned)
        return error_set(
            e, OCM_E_AUTH,
            "its host key has changed: it was %s, now it shows %.*s. Either "
            "somebody stands in between or the host was installed anew. If you "
            "know that it was, run this again with --new-host-key",
            was, now ? (int)strcspn(now, " .\r\n") : 13,
            now ? now : "another kind");
    return error_set(e, OCM_E_AUTH,
                     "its host key is not the one in your known_hosts (now "
                     "%.*s): somebody stands in between, or the host was "
                     "installed anew; if you know that it was: ssh-keygen -R "
                     "'%s'",
                     now ? (int)strcspn(now, " .\r\n") : 7,
                     now ? now : "another", s->key_name);
}

static const struct {
    const char *words;
    int code;
} meanings[] = {
    {"Permission denied", OCM_E_AUTH},
    {"Too many authentication failures", OCM_E_AUTH},
    {"Could not resolve", OCM_E_OFFLINE},
    {"Connection refused", OCM_E_OFFLINE},
    {"timed out", OCM_E_OFFLINE},
    {"No route to host", OCM_E_OFFLINE},
    {"Network is unreachable", OCM_E_OFFLINE},
    {"Connection closed", OCM_E_OFFLINE},
    {"Connection reset", OCM_E_OFFLINE},
};

int ssh_words_failure(struct ssh *s, struct error *e)
{
    const char *all = buf_str(&s->text);
    char last[300];

    last_line(&s->text, last, sizeof(last));
    if (strstr(all, "IDENTIFICATION HAS CHANGED") ||
        (s->pinned && strstr(all, "strict checking")))
        return key_changed(s, e);
    if (strstr(all, "Host key verification failed"))
        return error_set(e, OCM_E_AUTH,
                         "its host key was not accepted (to trust it on first "
                         "use: --accept-new)");
    for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
        if (!strstr(last, meanings[i].words))
            continue;
        if (meanings[i].code == OCM_E_AUTH && s->refused)
            return error_set(e, OCM_E_AUTH,
                             "%s (a password or passphrase was wanted and "
                             "nobody gave it)",
                             last);
        return error_set(e, meanings[i].code, "%s", last);
    }
    return error_set(e, s->refused ? OCM_E_AUTH : OCM_E_OFFLINE, "ssh: %s",
                     *last ? last : "it ended without a word");
}
