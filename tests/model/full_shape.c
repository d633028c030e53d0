// Random models, the 1.8b at full shape among them: packed in q4, their logits against double
// precision on the same packed bytes; and what loading takes: host memory, which has a limit, and
// rates, which are printed. The large one needs 6 GB in /tmp and 3 GB of memory.
#include <criterion/criterion.h>

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vklm/vklm.h>

#include "base/clock.h"
#include "base/file.h"
#include "gpu/device.h"
#include "gpu/stage.h"
#include "model/source.h"
#include "ref/model.h"

#define must(call) cr_assert((call) == VKLM_OK, "%s", vklm_error_message())

enum { N_IDS = 3 };

// Memory of this process in bytes, without mapped files. (A driver may have the device's as shared
// memory.)
static uint64_t memory_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long kib = 0, sum = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "RssAnon: %lu", &kib) == 1 || sscanf(line, "RssShmem: %lu", &kib) == 1)
            sum += kib;
    if (file)
        fclose(file);
    return (uint64_t)sum << 10;
}

// What is seen of a load: the most memory, and when its first and its last piece were done.
typedef struct {
    uint64_t most;
    double first, last;
} sight;

static bool watch(void *opaque, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    sight *s = opaque;
    uint64_t now = memory_bytes();
    s->most = now > s->most ? now : s->most;
    s->last = vklm_clock_seconds();
    s->first = s->first > 0 ? s->first : s->last;
    return true;
}

static vklm_engine *open_engine(const char *folder, vklm_weights_kind weights, sight *seen)
{
    vklm_engine *engine;
    vklm_engine_params params = {
        .model_dir = folder, .weights = weights, .n_ctx = 64, .progress = watch, .opaque = seen};
    vklm_status status = vklm_engine_open(&params, &engine);
    if (status == VKLM_NO_DEVICE)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    cr_assert(status == VKLM_OK, "%s", vklm_error_message());
    return engine;
}

// Bytes a second at which a file is read.
static double read_rate(const char *path)
{
    enum { PIECE = 16 << 20 };
    char *to = malloc(PIECE);
    int fd = open(path, O_RDONLY);
    cr_assert(fd >= 0 && to);
    double begin = vklm_clock_seconds(), bytes = 0;
    for (ssize_t n; (n = read(fd, to, PIECE)) > 0;)
        bytes += (double)n;
    close(fd);
    free(to);
    return bytes / (vklm_clock_seconds() - begin);
}

// Bytes a second from this process's memory through the staging ring to fresh device memory.
static double copy_rate(void)
{
    enum { BYTES = 256 << 20 };
    vklm_gpu_instance *instance;
    vklm_gpu_device *device;
    vklm_gpu_stage *stage;
    vklm_gpu_buffer *buffer;
    size_t index;
    char *from = malloc(BYTES);
    cr_assert(from);
    memset(from, 1, BYTES);
    must(vklm_gpu_instance_create(&(vklm_gpu_instance_params){0}, &instance));
    must(vklm_gpu_instance_select(instance, NULL, &index));
    must(vklm_gpu_device_open(instance, index, &(vklm_gpu_device_params){0}, &device));
    must(vklm_gpu_stage_create(device, &stage));
    must(vklm_gpu_buffer_create(device, VKLM_GPU_MEMORY_DEVICE, BYTES, &buffer));
    double begin = vklm_clock_seconds();
    must(vklm_gpu_stage_upload(stage, from, vklm_gpu_buffer_view(buffer)));
    must(vklm_gpu_stage_finish(stage));
    double seconds = vklm_clock_seconds() - begin;
    vklm_gpu_stage_destroy(stage);
    vklm_gpu_buffer_destroy(buffer);
    vklm_gpu_device_close(device);
    vklm_gpu_instance_destroy(instance);
    free(from);
    return BYTES / seconds;
}

static double relative_error(const float *got, const double *want, size_t n)
{
    double distance = 0, length = 0;
    for (size_t i = 0; i < n; i++) {
        distance += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        length += want[i] * want[i];
    }
    return sqrt(distance / length);
}

// Twice that of forward.c, where models have three layers at most: here up to 24 add the roundings
// of their part of the f16 cache, independently of each other.
static const double BOUND = 0x1p-10;

static void check_logits(vklm_engine *engine, const char *packed)
{
    vklm_source source;
    vklm_session *session;
    const float *logits;
    must(vklm_source_open(packed, false, &source));
    const vklm_arch *a = &source.arch;
    const uint32_t ids[N_IDS] = {a->n_vocab / 2, 1, a->n_vocab - 1};
    double *hidden = malloc((size_t)(a->n_layers + 1) * N_IDS * a->n_hidden * sizeof *hidden);
    double *want = malloc((size_t)N_IDS * a->n_vocab * sizeof *want);
    cr_assert(vklm_ref_forward(&source, ids, N_IDS, true, hidden, want));
    must(vklm_session_create(engine, NULL, &session));
    must(vklm_session_append(session, ids, N_IDS));
    must(vklm_session_logits(session, &logits));
    double prefill = relative_error(logits, want + (size_t)(N_IDS - 1) * a->n_vocab, a->n_vocab);
    must(vklm_session_rewind(session, 0));
    double decode = 0;
    for (size_t i = 0; i < N_IDS; i++) {
        must(vklm_session_append(session, ids + i, 1));
        must(vklm_session_logits(session, &logits));
        decode = fmax(decode, relative_error(logits, want + i * a->n_vocab, a->n_vocab));
    }
    fprintf(stderr, "%s: logits off by %.2g (prompt) and %.2g (token by token), bound %.0e\n",
            packed, prefill, decode, BOUND);
    cr_expect(prefill <= BOUND && decode <= BOUND);
    vklm_session_destroy(session);
    vklm_source_close(&source);
    free(hidden), free(want);
}

static void check_preset(const char *preset)
{
    char folder[] = "/tmp/vklm-full-XXXXXX", model[64], packed[64], file[128];
    cr_assert(mkdtemp(folder));
    snprintf(model, sizeof model, "%s/model", folder);
    snprintf(packed, sizeof packed, "%s/packed", folder);
    snprintf(file, sizeof file, "%s/packed.safetensors", packed);
    must(vklm_model_synth(&(vklm_synth_params){.preset = preset, .out_dir = model}));
    vklm_model_info info;
    must(vklm_model_info_load(model, &info));

    // Packing while loading. A software device's memory is this process's: the weights are not
    // counted.
    sight seen = {0};
    double begin = vklm_clock_seconds();
    vklm_engine *engine = open_engine(model, VKLM_WEIGHTS_Q4, &seen);
    double seconds = vklm_clock_seconds() - begin, bytes = (double)info.file_bytes;
    bool cpu = vklm_engine_device(engine)->type == VKLM_DEVICE_CPU;
    uint64_t host = seen.most - (cpu ? vklm_engine_memory(engine)->weight_bytes : 0);
    fprintf(
        stderr,
        "bf16 loaded as q4: %.1f s, %.0f MB/s, host memory at most %llu MiB beside %s weights\n",
        seconds, bytes / seconds * 1e-6, (unsigned long long)(host >> 20),
        cpu ? "the device's" : "no");
    cr_expect(host < (uint64_t)512 << 20, "%llu bytes", (unsigned long long)host);
    vklm_engine_close(engine);

    begin = vklm_clock_seconds();
    must(vklm_model_pack(&(vklm_pack_params){.model_dir = model, .out_dir = packed}));
    seconds = vklm_clock_seconds() - begin;
    long threads = sysconf(_SC_NPROCESSORS_ONLN);
    fprintf(stderr, "packed to q4: %.1f s, %.0f MB/s, %.0f on each of %ld processors\n", seconds,
            bytes / seconds * 1e-6, bytes / seconds * 1e-6 / (double)threads, threads);
    vklm_file_remove_folder(model);

    double reading = read_rate(file), copying = copy_rate(), slower = fmin(reading, copying);
    seen = (sight){0};
    engine = open_engine(packed, VKLM_WEIGHTS_AUTO, &seen);
    seconds = seen.last - seen.first;
    double rate = (double)vklm_engine_memory(engine)->weight_bytes / seconds;
    fprintf(stderr,
            "packed folder loaded: %.1f s, %.0f MB/s; reading the file %.0f, copying to the device "
            "%.0f: "
            "%.0f %% of the slower\n",
            seconds, rate * 1e-6, reading * 1e-6, copying * 1e-6, 100 * rate / slower);
    check_logits(engine, packed);
    vklm_engine_close(engine);
    vklm_file_remove_folder(packed);
    rmdir(folder);
}

Test(full_shape, tiny)
{
    check_preset("tiny");
}

Test(full_shape_big, llm_jp_1_8b)
{
    check_preset("llm-jp-3.1-1.8b");
}
