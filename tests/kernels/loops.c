// Prompts at positions where a driver's limit on the iterations of a loop shows.
#include <criterion/criterion.h>

#include <string.h>

#include "kernels/cases.h"
#include "ops/attention.h"

enum { HEAD = 128, N_CTX = 16000 };

static void prefill(vklm_lab *lab, uint32_t position)
{
    vklm_case_attention_prefill.run(lab, VKLM_FORMAT_F16,
                                    (const uint32_t[]){1, 1, HEAD, N_CTX, position, 4});
}

// Lavapipe of Mesa 22.3 ends loops too early at positions past some 10,700: the op refuses there,
// in a sentence, and is right everywhere else.
Test(loops, prefill_at_late_positions)
{
    vklm_lab *lab = vklm_lab_open();
    if (!lab)
        cr_skip_test("no Vulkan: %s", vklm_error_message());
    if (vklm_gpu_device_caps(vklm_lab_device(lab))->max_loop_iterations == 0) {
        prefill(lab, 13500);
        vklm_lab_close(lab);
        return;
    }
    prefill(lab, 10600);
    vklm_gpu_view some = vklm_lab_output(lab, NULL, 8);
    vklm_gpu_cmd *cmd;
    cr_assert_eq(vklm_gpu_cmd_create(vklm_lab_device(lab), NULL, &cmd), VKLM_OK);
    vklm_gpu_cmd_begin(cmd);
    vklm_op_attention_prefill_record(cmd, &(vklm_op_attention_prefill){.qkv = some,
                                                                       .k = some,
                                                                       .v = some,
                                                                       .y = some,
                                                                       .n_tokens = 4,
                                                                       .position = 15980,
                                                                       .n_heads = 1,
                                                                       .n_kv_heads = 1,
                                                                       .head_dim = HEAD,
                                                                       .n_ctx = N_CTX});
    cr_expect_eq(vklm_gpu_cmd_end(cmd), VKLM_UNSUPPORTED);
    cr_expect(strstr(vklm_error_message(), "a prompt of 15984 tokens"), "%s", vklm_error_message());
    vklm_gpu_cmd_destroy(cmd);
    vklm_lab_clear(lab);
    vklm_lab_close(lab);
}
