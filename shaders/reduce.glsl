// Sums and maxima over a workgroup, for any subgroup size: a subgroup reduction, then shared memory
// across subgroups. Every invocation gets the result; the order of additions is fixed by the device's
// subgroup size alone, so results repeat bit for bit. Call in uniform control flow.
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require

// One for each subgroup: a workgroup has at most 256 invocations, a subgroup at least 4. Not sized by gl_WorkGroupSize:
// that is 1 here, the specialized one only after the shader's local_size_x_id.
shared float reduce_scratch[64];

float reduce_sum(float value)
{
    float sum = subgroupAdd(value);
    if (gl_NumSubgroups == 1)
        return sum;
    barrier(); // the scratch may still be read by the previous reduction
    if (subgroupElect())
        reduce_scratch[gl_SubgroupID] = sum;
    barrier();
    sum = reduce_scratch[0];
    for (uint i = 1; i < gl_NumSubgroups; i++)
        sum += reduce_scratch[i];
    return sum;
}

float reduce_max(float value)
{
    float most = subgroupMax(value);
    if (gl_NumSubgroups == 1)
        return most;
    barrier();
    if (subgroupElect())
        reduce_scratch[gl_SubgroupID] = most;
    barrier();
    most = reduce_scratch[0];
    for (uint i = 1; i < gl_NumSubgroups; i++)
        most = max(most, reduce_scratch[i]);
    return most;
}
