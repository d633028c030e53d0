// The tile under the dot8 tier's matmuls: x comes in rows of 8 bits (input8.glsl), products of 32 columns are summed as
// integers, four at a time, and scaled once. A workgroup of 16 x 16 invocations owns TILE_T tokens x TILE_R rows of y;
// invocation (i, j) owns R rows from R i on and T tokens from T j on.
// Tiles of 64 columns pass through shared memory as bytes: a word is four columns of a row, or of a token.
// While one pair of tiles is multiplied the next is on its way to registers, and goes to the other half of the memory.
//
//   y[t, r] = sum over blocks of s_w (s_x sum q_w q_x) - m_w (s_x sum q_x)
//
// TERMS = 2: a token's x is two rows, which add up (input8.comp); a pair of tiles then has half as many columns.
//
// Included after the push constants `args`, whose n_rows and n_cols are the matrix's, and the includer's weight(),
// n_tokens(), input_row() and put_result(). The last row and the last token stand in for those past the edge, and are
// not put. The host guarantees n_cols % 64 == 0.
// Constant ids: 0 = local_size_x (256), 2 = TILE_T, 3 = TILE_R (multiples of 16), 5 = TERMS (1, 2).
#include "quant/quant.glsl"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint TILE_T = 64;
layout(constant_id = 3) const uint TILE_R = 64;
layout(constant_id = 5) const uint TERMS = 1;

const uint SIDE = 16, LANES = gl_WorkGroupSize.x;
const uint T = TILE_T / SIDE, R = TILE_R / SIDE, SUMS = T * R; // the register tile
const uint X_BLOCKS = 2, W_BLOCKS = X_BLOCKS / TERMS, WORDS = 8; // of 32 columns; in each
const uint W_LOADS = W_BLOCKS * TILE_R, ALL_LOADS = W_LOADS + X_BLOCKS * TILE_T;
const uint LOADS = (ALL_LOADS + LANES - 1) / LANES; // blocks that an invocation fetches at a time
const uint W_STRIDE = TILE_R + 4, X_STRIDE = TILE_T + 4; // padded: other banks, and vectors stay aligned

shared uint tile_w[2 * W_BLOCKS * WORDS * W_STRIDE], tile_x[2 * X_BLOCKS * WORDS * X_STRIDE];
shared vec2 lines_w[2 * W_BLOCKS * TILE_R]; // a block's scale, and its minimum
shared vec2 lines_x[2 * X_BLOCKS * TILE_T]; // and what times the minimum comes off: scale and sum

// The next pair of tiles, on its way from device memory.
uvec4 next_q[LOADS * 2];
vec2 next_line[LOADS];

// Blocks W_BLOCKS * pair and following of every row and token; a token's are term by term.
void fetch(QuantMatrix w, uint first_row, uint n, uint pair)
{
    const uint blocks = args.n_cols / 32;
    [[unroll]] for (uint l = 0; l < LOADS; l++) {
        const uint at = l * LANES + gl_LocalInvocationID.x;
        if (at < W_LOADS) {
            const uint row = min(first_row + at % TILE_R, args.n_rows - 1);
            quant_block8(w, row * blocks + pair * W_BLOCKS + at / TILE_R, next_q[2 * l], next_q[2 * l + 1], next_line[l]);
        } else if (at < ALL_LOADS) {
            const uint token = min((at - W_LOADS) % TILE_T, n - 1), b = (at - W_LOADS) / TILE_T;
            const uint block = pair * W_BLOCKS + b / TERMS;
            const uvec2 x = address_add_rows(args.x, input_row(token) * TERMS + b % TERMS, args.n_cols / 4 * 5);
            next_q[2 * l] = ReadU32x4(x).v[2 * block];
            next_q[2 * l + 1] = ReadU32x4(x).v[2 * block + 1];
            next_line[l] = ReadF32x2(address_add(x, args.n_cols)).v[block];
        }
    }
}

void store(uint which)
{
    [[unroll]] for (uint l = 0; l < LOADS; l++) {
        const uint at = l * LANES + gl_LocalInvocationID.x;
        if (at < W_LOADS) {
            const uint row = at % TILE_R, block = which * W_BLOCKS + at / TILE_R;
            [[unroll]] for (uint k = 0; k < WORDS; k++)
                tile_w[(block * WORDS + k) * W_STRIDE + row] = next_q[2 * l + k / 4][k % 4];
            lines_w[block * TILE_R + row] = next_line[l];
        } else if (at < ALL_LOADS) {
            const uint token = (at - W_LOADS) % TILE_T, block = which * X_BLOCKS + (at - W_LOADS) / TILE_T;
            [[unroll]] for (uint k = 0; k < WORDS; k++)
                tile_x[(block * WORDS + k) * X_STRIDE + token] = next_q[2 * l + k / 4][k % 4];
            lines_x[block * TILE_T + token] = next_line[l];
        }
    }
}

// y's tile, from row first_row on, goes to put_result.
void matmul_tile(uint first_row)
{
    const uint i = gl_LocalInvocationID.x % SIDE, j = gl_LocalInvocationID.x / SIDE, n = n_tokens();
    QuantMatrix w = quant_matrix(weight(), args.n_rows, args.n_cols);
    float sums[SUMS]; // [T, R]: of token j T + t and row i R + r
    [[unroll]] for (uint s = 0; s < SUMS; s++)
        sums[s] = 0;
    fetch(w, first_row, n, 0);
    store(0);
    barrier();
    const uint pairs = args.n_cols / (32 * W_BLOCKS);
    for (uint pair = 0; pair < pairs; pair++) {
        if (pair + 1 < pairs)
            fetch(w, first_row, n, pair + 1);
        for (uint block = pair % 2 * X_BLOCKS; block < (pair % 2 + 1) * X_BLOCKS; block++) {
            const uint block_w = block / TERMS;
            int dots[SUMS];
            [[unroll]] for (uint s = 0; s < SUMS; s++)
                dots[s] = 0;
            [[unroll]] for (uint k = 0; k < WORDS; k++) {
                uint ws[R], xs[T];
                [[unroll]] for (uint r = 0; r < R; r++)
                    ws[r] = tile_w[(block_w * WORDS + k) * W_STRIDE + i * R + r];
                [[unroll]] for (uint t = 0; t < T; t++)
                    xs[t] = tile_x[(block * WORDS + k) * X_STRIDE + j * T + t];
                [[unroll]] for (uint t = 0; t < T; t++)
                    [[unroll]] for (uint r = 0; r < R; r++)
                        dots[t * R + r] += dot8(ws[r], xs[t]);
            }
            vec2 line_w[R];
            [[unroll]] for (uint r = 0; r < R; r++)
                line_w[r] = lines_w[block_w * TILE_R + i * R + r];
            [[unroll]] for (uint t = 0; t < T; t++) {
                const vec2 line_x = lines_x[block * TILE_T + j * T + t];
                [[unroll]] for (uint r = 0; r < R; r++) {
                    sums[t * R + r] = fma(line_w[r].x * line_x.x, float(dots[t * R + r]), sums[t * R + r]);
#ifdef QUANT_AFFINE
                    sums[t * R + r] = fma(-line_w[r].y, line_x.y, sums[t * R + r]);
#endif
                }
            }
        }
        if (pair + 1 < pairs)
            store((pair + 1) % 2);
        barrier();
    }
    [[unroll]] for (uint t = 0; t < T; t++)
        [[unroll]] for (uint r = 0; r < R; r++) {
            const uint token = j * T + t, row = first_row + i * R + r;
            if (token < n && row < args.n_rows)
                put_result(token, row, sums[t * R + r]);
        }
}
