// "Is this the last workgroup to get here?": the tail of a kernel that one workgroup does for all.
// An atomic counter, never a wait: Vulkan promises no forward progress between workgroups.
//
// What the others wrote through SharedF32 references (coherent) before the call is visible to the
// workgroup that gets `true`; it resets the counter for the next dispatch.
shared uint last_workgroup_arrived;

bool last_workgroup(SharedU32 counters, uint index, uint n_workgroups)
{
    memoryBarrierBuffer(); // each invocation's writes go out before its workgroup counts itself
    barrier();
    if (gl_LocalInvocationIndex == 0) {
        last_workgroup_arrived = atomicAdd(counters.v[index], 1);
        if (last_workgroup_arrived == n_workgroups - 1)
            atomicExchange(counters.v[index], 0);
    }
    barrier();
    memoryBarrierBuffer();
    return last_workgroup_arrived == n_workgroups - 1;
}
