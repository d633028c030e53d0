// Logits and routes of a whole text, written to a file.
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

static vklm_status write_header(const sink *s, const vklm_arch *arch, size_t n_ids, bool router)
{
    char logits[] = "logits", experts[] = "experts", weights[] = "expert_weights";
    const uint64_t n_routes = (uint64_t)arch->n_layers * n_ids * arch->top_k;
    vklm_tensor_info infos[] = {
        {.name = logits,
         .dtype = VKLM_DTYPE_F32,
         .n_dims = 2,
         .shape = {n_ids, s->n_vocab},
         .bytes = (uint64_t)n_ids * s->n_vocab * sizeof(float)},
        {.name = experts,
         .dtype = VKLM_DTYPE_I32,
         .n_dims = 3,
         .shape = {arch->n_layers, n_ids, arch->top_k},
         .bytes = n_routes * sizeof(int32_t)},
        {.name = weights,
         .dtype = VKLM_DTYPE_F32,
         .n_dims = 3,
         .shape = {arch->n_layers, n_ids, arch->top_k},
         .bytes = n_routes * sizeof(float)},
    };
    vklm_string header = {0};
    vklm_safetensors_print_header(infos, router ? 3 : 1, &header);
    if (!header.failed)
        vklm_file_writer_write(s->writer, header.data, header.len);
    vklm_status status = header.failed ? vklm_fail_memory("a header") : VKLM_OK;
    vklm_string_finish(&header);
    return status;
}

static void write_routes(const sink *s, const struct vklm_args_route *routes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        vklm_file_writer_write(s->writer, &routes[i].expert, sizeof routes[i].expert);
    for (size_t i = 0; i < n; i++)
        vklm_file_writer_write(s->writer, &routes[i].weight, sizeof routes[i].weight);
}

// Computes and writes everything; `routes` is NULL or takes where the tokens went.
static vklm_status write_all(vklm_session *session, const uint32_t *ids, uint32_t n_ids,
                             vklm_gpu_buffer *routes, const sink *s)
{
    const vklm_arch *arch = &session->engine->weights->arch;
    vklm_status status = write_header(s, arch, n_ids, routes != NULL);
    if (status != VKLM_OK)
        return status;
    uint32_t done;
    vklm_prefill_params params = {.logits = write_rows, .opaque = (void *)s};
    if (routes)
        params.routes = vklm_gpu_buffer_view(routes);
    status = vklm_prefill_run(&session->prefill, ids, n_ids, 0, &params, &done);
    vklm_session_accept(session, ids, done);
    if (status == VKLM_OK && routes)
        write_routes(s, vklm_gpu_buffer_map(routes), (size_t)arch->n_layers * n_ids * arch->top_k);
    return status;
}

vklm_status vklm_session_write_logits(vklm_session *session, const uint32_t *ids, size_t n_ids,
                                      bool router, const char *path)
{
    const vklm_arch *arch = &session->engine->weights->arch;
    vklm_status status = vklm_session_rewind(session, 0);
    if (status == VKLM_OK)
        status = vklm_session_check(session, ids, n_ids);
    if (status == VKLM_OK && router && arch->n_experts == 0)
        status = vklm_fail(VKLM_INVALID_ARGUMENT, "the model has no experts to route to");
    if (status != VKLM_OK)
        return status;
    sink s = {.n_vocab = arch->n_vocab};
    vklm_gpu_buffer *routes = NULL;
    if (router)
        status = vklm_gpu_buffer_create(session->engine->device, VKLM_GPU_MEMORY_READBACK,
                                        (uint64_t)arch->n_layers * n_ids * arch->top_k *
                                            sizeof(struct vklm_args_route),
                                        &routes);
    if (status == VKLM_OK)
        status = vklm_file_writer_open(path, &s.writer);
    if (status == VKLM_OK)
        status = write_all(session, ids, (uint32_t)n_ids, routes, &s);
    if (status == VKLM_OK)
        status = vklm_file_writer_commit(s.writer);
    vklm_file_writer_close(s.writer);
    vklm_gpu_buffer_destroy(routes);
    return status;
}
