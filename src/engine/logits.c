// Logits of a whole text, written to a file.
#include "engine/session_private.h"

#include "base/file.h"
#include "checkpoint/safetensors.h"

typedef struct {
    vklm_file_writer *writer;
    uint32_t n_vocab;
} sink;

static vklm_status write_rows(void *opaque, uint32_t first, uint32_t n, const float *logits)
{
    (void)first;
    sink *s = opaque;
    vklm_file_writer_write(s->writer, logits, (size_t)n * s->n_vocab * sizeof *logits);
    return VKLM_OK;
}

static vklm_status write_header(sink *s, size_t n_ids)
{
    char name[] = "logits";
    vklm_tensor_info info = {
        .name = name,
        .dtype = VKLM_DTYPE_F32,
        .n_dims = 2,
        .shape = {n_ids, s->n_vocab},
        .bytes = (uint64_t)n_ids * s->n_vocab * sizeof(float),
    };
    vklm_string header = {0};
    vklm_safetensors_print_header(&info, 1, &header);
    if (!header.failed)
        vklm_file_writer_write(s->writer, header.data, header.len);
    vklm_status status = header.failed ? vklm_fail_memory("a header") : VKLM_OK;
    vklm_string_finish(&header);
    return status;
}

vklm_status vklm_session_write_logits(vklm_session *session, const uint32_t *ids, size_t n_ids,
                                      const char *path)
{
    vklm_status status = vklm_session_rewind(session, 0);
    if (status == VKLM_OK)
        status = vklm_session_check(session, ids, n_ids);
    if (status != VKLM_OK)
        return status;
    sink s = {.n_vocab = session->engine->weights->arch.n_vocab};
    status = vklm_file_writer_open(path, &s.writer);
    if (status == VKLM_OK)
        status = write_header(&s, n_ids);
    if (status == VKLM_OK) {
        uint32_t done;
        vklm_prefill_params params = {.logits = write_rows, .opaque = &s};
        status = vklm_prefill_run(&session->prefill, ids, (uint32_t)n_ids, 0, &params, &done);
        vklm_session_accept(session, ids, done);
    }
    if (status == VKLM_OK)
        status = vklm_file_writer_commit(s.writer);
    vklm_file_writer_close(s.writer);
    return status;
}
