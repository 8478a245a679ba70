/* SPDX-License-Identifier: MIT */
/* Join tokens as text. */
#include "common/net/token.h"

#include <stdio.h>
#include <string.h>

#include "common/base/secret.h"

#define TOKEN_PREFIX "ocm1."
#define TOKEN_ALPHABET "abcdefghijklmnopqrstuvwxyz234567"

void token_make(struct token *t, const struct id *ca)
{
    t->ca = *ca;
    secret_random_text(t->secret, TOKEN_SECRET_LEN);
}

void token_format(const struct token *t, char out[TOKEN_TEXT_MAX])
{
    char hex[ID_HEX_LEN + 1];

    id_hex(&t->ca, hex);
    snprintf(out, TOKEN_TEXT_MAX, TOKEN_PREFIX "%s.%s", hex, t->secret);
}

bool token_parse(const char *s, struct token *out)
{
    const size_t prefix = strlen(TOKEN_PREFIX);
    char hex[ID_HEX_LEN + 1];

    memset(out, 0, sizeof(*out));
    if (strnlen(s, TOKEN_TEXT_MAX) !=
            prefix + ID_HEX_LEN + 1 + TOKEN_SECRET_LEN ||
        strncmp(s, TOKEN_PREFIX, prefix) != 0)
        return false;
    s += prefix;
    memcpy(hex, s, ID_HEX_LEN);
    hex[ID_HEX_LEN] = 0;
    s += ID_HEX_LEN;
    if (*s++ != '.' || strspn(s, TOKEN_ALPHABET) != TOKEN_SECRET_LEN)
        return false;
    if (!id_parse(hex, &out->ca))
        return false;
    memcpy(out->secret, s, TOKEN_SECRET_LEN + 1);
    return true;
}
