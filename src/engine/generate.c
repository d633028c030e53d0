#include "engine/session_private.h"

static bool is_eos(const vklm_arch *arch, uint32_t id)
{
    for (uint32_t i = 0; i < arch->n_eos; i++)
        if (arch->eos_ids[i] == id)
            return true;
    return false;
}

vklm_status vklm_session_generate(vklm_session *session, uint32_t max_tokens, bool ignore_eos,
                                  vklm_token_callback on_token, void *opaque,
                                  vklm_stop_reason *out_reason)
{
    const vklm_arch *arch = &session->engine->weights->arch;
    *out_reason = VKLM_STOP_LENGTH;
    for (uint32_t n = 0; n < max_tokens; n++) {
        uint32_t id;
        vklm_status status = vklm_session_sample(session, &id);
        if (status != VKLM_OK)
            return status;
        bool go_on = on_token(opaque, id);
        if (!ignore_eos && is_eos(arch, id))
            *out_reason = VKLM_STOP_EOS;
        else if (!go_on)
            *out_reason = VKLM_STOP_CALLER;
        else if (session->n_tokens == session->n_ctx)
            *out_reason = VKLM_STOP_CONTEXT;
        else if (n + 1 < max_tokens)
            status = vklm_session_append(session, &id, 1);
        if (status != VKLM_OK || *out_reason != VKLM_STOP_LENGTH)
            return status;
    }
    return VKLM_OK;
}
