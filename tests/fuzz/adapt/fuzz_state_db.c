/* SPDX-License-Identifier: MIT */
/* Any bytes as a state database: an error with a word, or rows edited. */
#include "tests/fuzz/adapt/stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out = {0};

    if (size > 1024 * 1024)
        return 0;
    stage_adapt("config/state/state/openclaw.sqlite", KIND_STATE_DB,
                INTENT_CLONE, false, data, size, &out);
    buf_free(&out);
    stage_adapt("data/sessions/agents/main/agent/openclaw-agent.sqlite",
                KIND_AGENT_DB, INTENT_MOVE, false, data, size, &out);
    buf_free(&out);
    return 0;
}
