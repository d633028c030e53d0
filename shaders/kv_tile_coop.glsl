// Tiles of keys and of values on their way to shared memory, f16, for attention_prefill_coop.comp: its constants, `tile`
// and `args`.
const uint FOURS = KEYS / 4, ALL_LOADS = (FOURS * (HEAD_DIM / 4) + LANES - 1) / LANES; // of a tile
const uint LOADS = AHEAD || ALL_LOADS < 2 ? ALL_LOADS : 2, PARTS = (ALL_LOADS + LOADS - 1) / LOADS; // at a time

layout(buffer_reference, std430, buffer_reference_align = 8) readonly buffer ReadU32x2 { uvec2 v[]; };

// Four values of a row of k or v, as they are stored.
struct Quad {
#ifdef KV_Q8
    uint quants;
    float scale;
#else
    uvec2 halves;
#endif
};

Quad fetch_quad(uvec2 cache, uint row, uint quad)
{
    const uint at = row * (HEAD_DIM / 4) + quad;
#ifdef KV_Q8
    QuantMatrix m = quant_matrix(cache, args.n_kv_heads * args.n_ctx, HEAD_DIM);
    return Quad(ReadU32(cache).v[at], quant_q8_scale(m, at / 4));
#else
    return Quad(ReadU32x2(cache).v[at]);
#endif
}

f16vec4 unpack(Quad q)
{
#ifdef KV_Q8
    return f16vec4(q.scale * quant_q8x4(q.quants));
#else
    return f16vec4(unpackFloat2x16(q.halves.x), unpackFloat2x16(q.halves.y));
#endif
}

// The next tile, on its way from device memory: of each load four positions, four columns.
Quad next[LOADS * 4];

uint four_of(uint n, bool transposed)
{
    return transposed ? n % FOURS : n / (HEAD_DIM / 4);
}

uint quad_of(uint n, bool transposed)
{
    return transposed ? n / FOURS : n % (HEAD_DIM / 4);
}

// Lanes may be more than there are.
bool is_load(uint n)
{
    return ALL_LOADS * LANES == FOURS * (HEAD_DIM / 4) || n < FOURS * (HEAD_DIM / 4);
}

// Of positions [first, first + KEYS) of k or v; `length` > first.
void fetch(uvec2 cache, bool transposed, uint kv_head, uint first, uint length, uint part)
{
    [[unroll]] for (uint l = 0; l < LOADS; l++) {
        const uint n = (part * LOADS + l) * LANES + lane(), p = first + 4 * four_of(n, transposed);
        const uint quad = quad_of(n, transposed);
        if (is_load(n))
            [[unroll]] for (uint i = 0; i < 4; i++)
                next[4 * l + i] = fetch_quad(cache, kv_head * args.n_ctx + min(p + i, length - 1), quad);
    }
}

// What was fetched, to the tile; zeros past `length`. v is transposed: it is matrix B by columns, too.
void store(bool transposed, uint first, uint length, uint part)
{
    [[unroll]] for (uint l = 0; l < LOADS; l++) {
        const uint n = (part * LOADS + l) * LANES + lane(), four = four_of(n, transposed), quad = quad_of(n, transposed);
        f16vec4 v[4];
        [[unroll]] for (uint i = 0; i < 4; i++) {
            v[i] = unpack(next[4 * l + i]);
            if (first + 4 * four + i >= length)
                v[i] = f16vec4(0);
        }
        if (is_load(n))
            [[unroll]] for (uint i = 0; i < 4; i++)
                if (transposed)
                    tile[(4 * quad + i) * WEIGHTS + four] = f16vec4(v[0][i], v[1][i], v[2][i], v[3][i]);
                else
                    tile[(4 * four + i) * STRIDE + quad] = v[i];
    }
}

// Into the tile what was fetched ahead, or is now.
void load_part(uvec2 cache, bool transposed, uint kv_head, uint first, uint length, uint part)
{
    if (!AHEAD)
        fetch(cache, transposed, kv_head, first, length, part);
    store(transposed, first, length, part);
}

void load_tile(uvec2 cache, bool transposed, uint kv_head, uint first, uint length)
{
    if (PARTS == 1)
        load_part(cache, transposed, kv_head, first, length, 0);
    else
        [[dont_unroll]] for (uint part = 0; part < PARTS; part++)
            load_part(cache, transposed, kv_head, first, length, part);
}
