#version 460
// Nothing: what a dispatch costs by itself. Any number of workgroups of LANES invocations.
// Constant ids: 0 = local_size_x.
layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

void main() {}
