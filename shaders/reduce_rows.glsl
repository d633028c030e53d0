// The sums of ROWS values over a workgroup at once, as reduce_sum does one. Include after ROWS.
shared float reduce_rows_scratch[64 * ROWS]; // a row of sums for each subgroup

void reduce_rows(inout float sums[ROWS])
{
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        sums[r] = subgroupAdd(sums[r]);
    if (gl_NumSubgroups == 1)
        return;
    barrier(); // the scratch may still be read by the previous reduction
    if (subgroupElect())
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            reduce_rows_scratch[gl_SubgroupID * ROWS + r] = sums[r];
    barrier();
    [[unroll]] for (uint r = 0; r < ROWS; r++)
        sums[r] = reduce_rows_scratch[r];
    for (uint i = 1; i < gl_NumSubgroups; i++)
        [[unroll]] for (uint r = 0; r < ROWS; r++)
            sums[r] += reduce_rows_scratch[i * ROWS + r];
}
