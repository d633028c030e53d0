// The innermost loop in what drivers show of their assembly.
#include <criterion/criterion.h>

#include "gpu/pipeline_loop.h"

static void expect(const char *driver, const char *assembly, uint32_t instructions, uint32_t loads)
{
    const vklm_gpu_loop got = vklm_gpu_loop_find(assembly);
    cr_expect(got.instructions == instructions && got.loads == loads,
              "%s: %u instructions with %u loads, wanted %u with %u", driver, got.instructions,
              got.loads, instructions, loads);
}

Test(assembly, no_loop)
{
    expect("nothing", "", 0, 0);
    expect("forward", "BB0:\n\ts_cbranch_scc0 BB1   ; bfa10344\nBB1:\n\ts_endpgm ; bf9f0000\n", 0,
           0);
}

#define FOUR(line) line line line line

// The first one with four loads: not the loop around it, not the one before it, not the one behind.
// A comment names no label.
Test(assembly, radv)
{
    expect(
        "RADV",
        "BB0:\n\ts_load_dword s17, s[10:11], 0x8      ; c0020445 00000008\n"
        "BB1:\n\ts_mov_b32 s0, 0                      ; BB1\n"
        "BB2:\n\tv_add_f32 v0, v1, v2                 ; 06000501\n"
        "\ts_cbranch_scc1 BB2                         ; bfa20010\n"
        "BB3:\n\tglobal_load_b128 v[0:3], v1, s[2:3]  ; dc5e0000\n" FOUR(
            "\tbuffer_load_dwordx4 v[4:7], v1, s[4:7], 0 offen ; e05c1000\n") "\ts_cbranch_execz "
                                                                              "BB5                 "
                                                                              "       ; bfa10239\n"
                                                                              "BB4:\n\tv_dot4_i32_"
                                                                              "iu8 v2, v3, v4, v2  "
                                                                              "      ; cc160002\n"
                                                                              "BB5:\n\ts_cbranch_"
                                                                              "scc1 BB3            "
                                                                              "       ; bfa20010\n"
                                                                              "BB6:\n" FOUR(
                                                                                  "\tflat_load_"
                                                                                  "dwordx4 v[4:7], "
                                                                                  "v1        ; "
                                                                                  "e05c1000\n") "\t"
                                                                                                "s_"
                                                                                                "cb"
                                                                                                "ra"
                                                                                                "nc"
                                                                                                "h_"
                                                                                                "sc"
                                                                                                "c1"
                                                                                                " B"
                                                                                                "B6"
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                " ;"
                                                                                                " b"
                                                                                                "fa"
                                                                                                "20"
                                                                                                "01"
                                                                                                "0"
                                                                                                "\n"
                                                                                                "\t"
                                                                                                "s_"
                                                                                                "br"
                                                                                                "an"
                                                                                                "ch"
                                                                                                " B"
                                                                                                "B1"
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                "  "
                                                                                                " ;"
                                                                                                " b"
                                                                                                "fa"
                                                                                                "0f"
                                                                                                "ff"
                                                                                                "1"
                                                                                                "\n",
        8, 5);
}

Test(assembly, anv)
{
    expect("ANV",
           "(W)     mov (8)            r54           r0.1<0>\n"
           "(f0.0)  if (8)                           jip:L0              uip:L0\n\n"
           "L3:\n" FOUR("        send.ugm (8)       r1      r72    null:0  {$2}  // wr:2+0, rd:4; "
                        "load.ugm.d32x4.a64\n") "(f0.0)  break (8)                        jip:L4   "
                                                "           uip:L4\n"
                                                "        add (8)            r1:d          r2:d     "
                                                " r3:d      {Compacted}\n\n"
                                                "L4:\n"
                                                "        while (8)                        L3\n"
                                                "        mov (8)            r1:d          r2:d\n\n"
                                                "L0:\n"
                                                "        endif (8)                        L1\n",
           7, 4);
}

// The end of a loop's body may lie behind what follows the loop.
Test(assembly, nvk)
{
    expect("NVK",
           "block.u 0 L2 [] -> {\n"
           "      b0      = bssy b0 pT L0                 // delay=1\n"
           "} -> [1]\n"
           "block 1 L5 [0, 3] -> {\n" FOUR("      r0      = ld.global.a64.constant.b128 [r2] // "
                                           "delay=1\n") "      r40     = idp4.i8.i8 r40 r17 rZ     "
                                                        "    // delay=4\n"
                                                        "                bra !p0 L7                "
                                                        "    // delay=1\n"
                                                        "} -> [3, 2]\n"
                                                        "block.u 2 L0 [1] -> {\n"
                                                        "                exit                      "
                                                        "    // delay=1\n"
                                                        "} -> []\n"
                                                        "block 3 L7 [1] -> {\n"
                                                        "                bra L5                    "
                                                        "    // delay=1\n"
                                                        "} -> [1]\n",
           7, 4);
}

Test(assembly, matrix_instructions)
{
    static const struct {
        const char *assembly;
        uint32_t n;
    } cases[] = {
        {"", 0},
        {"\tv_wmma_f32_16x16x16_f16 v[0:7], v[8:15], v[16:23], v[0:7] ; cc404000\n"
         "\tv_mul_f32 v0, v1, v2 ; 10000501\n",
         1},
        {"dpas.8x8(16) g20<1>F g20<8,8,1>F g60<1,1,0>HF g40<1,1,0>HF { align1 1H };\n"
         "dpas.8x8(16) g24<1>F g24<8,8,1>F g60<1,1,0>HF g44<1,1,0>HF { align1 1H };\n",
         2},
        {"hmma.m16n8k16.f32 r0..4 = r4..8 r8..10 r0..4\n", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(vklm_gpu_matrix_instructions(cases[i].assembly), cases[i].n, "case %zu", i);
}
