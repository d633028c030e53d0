// The sum of the products of four signed bytes: OpSDot of SPV_KHR_integer_dot_product, one instruction where the
// hardware has it. Spelled out for compilers that do not know GL_EXT_integer_dot_product.
#extension GL_EXT_spirv_intrinsics : require

spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4450)
int dot8_packed(uint a, uint b, spirv_literal int packing); // 0: four 8-bit numbers to a word

int dot8(uint a, uint b)
{
    return dot8_packed(a, b, 0);
}
