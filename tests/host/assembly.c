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

// The longest of the innermost ones: not the outer loop, not the short one behind it. A comment
// names no label.
Test(assembly, radv)
{
    expect("RADV",
           "BB0:\n\ts_load_dword s17, s[10:11], 0x8      ; c0020445 00000008\n"
           "BB1:\n\ts_mov_b32 s0, 0                      ; BB1\n"
           "BB2:\n\tglobal_load_b128 v[0:3], v1, s[2:3]  ; dc5e0000\n"
           "\tbuffer_load_dwordx4 v[4:7], v1, s[4:7], 0 offen ; e05c1000\n"
           "\ts_cbranch_execz BB4                        ; bfa10239\n"
           "BB3:\n\tv_dot4_i32_iu8 v2, v3, v4, v2        ; cc160002\n"
           "BB4:\n\ts_cbranch_scc1 BB2                   ; bfa20010\n"
           "BB5:\n\tv_add_f32 v0, v1, v2                 ; 06000501\n"
           "\ts_cbranch_scc1 BB5                         ; bfa20010\n"
           "\ts_branch BB1                               ; bfa0fff1\n",
           5, 2);
}

Test(assembly, anv)
{
    expect("ANV",
           "(W)     mov (8)            r54           r0.1<0>\n"
           "(f0.0)  if (8)                           jip:L0              uip:L0\n\n"
           "L3:\n"
           "        send.ugm (8)       r1      r72    null:0  0x04403580  {$2}  // wr:2+0, rd:4; "
           "load.ugm.d32x4.a64\n"
           "(f0.0)  break (8)                        jip:L4              uip:L4\n"
           "        add (8)            r1:d          r2:d      r3:d      {Compacted}\n\n"
           "L4:\n"
           "        while (8)                        L3\n\n"
           "L0:\n"
           "        endif (8)                        L1\n",
           4, 1);
}

Test(assembly, nvk)
{
    expect("NVK",
           "block.u 0 L2 [] -> {\n"
           "      b0      = bssy b0 pT L0                 // delay=1\n"
           "} -> [1]\n"
           "block 1 L5 [0, 1] -> {\n"
           "      r0      = ld.global.a64.constant.b128 [r2] // delay=1\n"
           "      r40     = idp4.i8.i8 r40 r17 rZ         // delay=4\n"
           "                bra !p0 L5                    // delay=1\n"
           "} -> [1, 2]\n"
           "block.u 2 L0 [1] -> {\n"
           "                exit                          // delay=1\n"
           "} -> []\n",
           3, 1);
    expect("NVK before Volta",
           "block 2 L4 [1, 3] -> {\n"
           "                pcnt L4                       // delay=13\n"
           "@!p0            bra pT L7                     // delay=13\n"
           "} -> [3, 4]\n"
           "block 3 L8 [2] -> {\n"
           "      r0      = ld.global.a64.constant.b128 [r2] // delay=1\n"
           "                cont L4                       // delay=13\n"
           "} -> [2]\n"
           "block.u 4 L7 [2] -> {\n"
           "                exit                          // delay=1\n"
           "} -> []\n",
           4, 1);
}
