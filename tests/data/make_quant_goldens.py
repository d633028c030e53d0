"""Goldens for the packed weight formats, computed without any code of vklm.

    python make_quant_goldens.py OUT.safetensors

1. Random bytes in the q8 and q4 formats (src/quant/q8.c, q4.c) and the values that numpy decodes from
   them: `q8.bytes`, `q8.values`, and so on. They pin the formats.
2. Rows of weights, Gaussian and heavy-tailed, and the relative RMS error that Q4_K, the 4.5-bit format
   of llama.cpp, makes on them: `gaussian.rows`, `gaussian.q4_k`, and so on. The quantiser below follows
   the published one (make_qkx2_quants with 20 steps) step by step, without an importance matrix.
"""
import sys

import numpy as np
from safetensors.numpy import save_file

f32 = np.float32


def decode_q8(data, rows, cols):
    q = np.frombuffer(data[:rows * cols], np.int8).reshape(rows, cols // 32, 32)
    at = (rows * cols + 15) // 16 * 16
    scale = np.frombuffer(data[at:at + rows * cols // 16], '<f2').reshape(rows, cols // 32, 1)
    return (scale.astype(np.float64) / 128 * q).astype(f32).reshape(rows, cols)


def decode_q4(data, rows, cols):
    n = rows * cols
    nibbles = np.frombuffer(data[:n // 2], np.uint8).reshape(-1, 16)
    q = np.concatenate([nibbles & 15, nibbles >> 4], axis=1).reshape(rows, -1, 8, 32)
    scales = np.frombuffer(data[n // 2:n // 2 + n // 16], np.uint8).reshape(rows, -1, 8, 2)
    at = n // 2 + n // 16  # both planes are multiples of 16 bytes
    pair = np.frombuffer(data[at:at + n // 64], '<f2').astype(np.float64).reshape(rows, -1, 1, 2)
    factors = pair * scales / 256
    return (factors[..., :1] * q - factors[..., 1:]).astype(f32).reshape(rows, cols)


def finite_halves(r, n):
    return r.uniform(0.01, 4, n).astype('<f2').tobytes()


def pinned(r):
    out = {}
    rows, cols = 5, 96
    data = r.integers(-127, 128, rows * cols).astype(np.int8).tobytes()
    data += finite_halves(r, rows * cols // 32) + b'\0' * 2
    out['q8.bytes'] = np.frombuffer(data, np.uint8)
    out['q8.values'] = decode_q8(data, rows, cols)
    rows, cols = 3, 512
    data = r.integers(0, 256, rows * cols // 2 + rows * cols // 16).astype(np.uint8).tobytes()
    pairs = np.frombuffer(finite_halves(r, rows * cols // 128), '<f2').copy()
    pairs[3] = -pairs[3]  # a minimum of the other sign
    data += pairs.tobytes() + b'\0' * 8
    out['q4.bytes'] = np.frombuffer(data, np.uint8)
    out['q4.values'] = decode_q4(data, rows, cols)
    return out


def nearest(x):
    return np.rint(x)


def q4_k_block(x):
    """Scale and (negated) minimum of blocks [n, 32]."""
    n_max = 15
    weights = np.sqrt(np.mean(x * x, axis=1, keepdims=True)) + np.abs(x)
    low, high = np.minimum(x.min(1), 0), x.max(1)
    sum_w, sum_x = weights.sum(1), (weights * x).sum(1)
    span = np.where(high > low, high - low, 1)
    scale, best_min = span / n_max, low.copy()
    q = np.clip(nearest((x - low[:, None]) * (n_max / span)[:, None]), 0, n_max)
    best = (weights * (scale[:, None] * q + low[:, None] - x) ** 2).sum(1)
    for step in range(21):
        inverse = (-1 + 0.1 * step + n_max) / span
        q = np.clip(nearest((x - low[:, None]) * inverse[:, None]), 0, n_max)
        sum_l, sum_l2, sum_xl = (weights * q).sum(1), (weights * q * q).sum(1), (weights * x * q).sum(1)
        d = sum_w * sum_l2 - sum_l * sum_l
        safe = np.where(d > 0, d, 1)
        this_scale = (sum_w * sum_xl - sum_x * sum_l) / safe
        this_min = (sum_l2 * sum_x - sum_l * sum_xl) / safe
        over = this_min > 0
        this_scale = np.where(over, sum_xl / np.where(sum_l2 > 0, sum_l2, 1), this_scale)
        this_min = np.where(over, 0, this_min)
        error = (weights * (this_scale[:, None] * q + this_min[:, None] - x) ** 2).sum(1)
        take = (d > 0) & (error < best)
        best, scale = np.where(take, error, best), np.where(take, this_scale, scale)
        best_min = np.where(take, this_min, best_min)
    flat = high == low
    return np.where(flat, 0, scale), -best_min


def q4_k(rows):
    """What rows [n, cols] are after Q4_K."""
    x = rows.astype(np.float64).reshape(-1, 8, 32)
    scale, minimum = q4_k_block(x.reshape(-1, 32))
    scale, minimum = scale.reshape(-1, 8), minimum.reshape(-1, 8)
    most_scale, most_min = scale.max(1, keepdims=True), minimum.max(1, keepdims=True)
    ls = np.minimum(63, nearest(np.where(most_scale > 0, 63 / np.where(most_scale > 0, most_scale, 1), 0) * scale))
    lm = np.minimum(63, nearest(np.where(most_min > 0, 63 / np.where(most_min > 0, most_min, 1), 0) * minimum))
    d = (most_scale / 63).astype(np.float16).astype(np.float64) * ls
    dm = (most_min / 63).astype(np.float16).astype(np.float64) * lm
    safe = np.where(d > 0, d, 1)
    q = np.clip(nearest((x + dm[..., None]) / safe[..., None]), 0, 15)
    return np.where(d[..., None] > 0, d[..., None] * q, 0) - dm[..., None]


def measured(r):
    out = {}
    shape = (32, 1024)
    sets = {'gaussian': r.normal(0, 0.02, shape), 'heavy': 0.01 * r.standard_t(4, shape)}
    for name, rows in sets.items():
        rows = rows.astype(np.float16)
        x = rows.astype(np.float64)
        error = q4_k(rows).reshape(shape) - x
        out[name + '.rows'] = rows
        out[name + '.q4_k'] = np.array([np.sqrt((error ** 2).sum() / (x ** 2).sum())], f32)
        print(f'{name}: Q4_K relative RMS error {out[name + ".q4_k"][0]:.5f}')
    return out


r = np.random.default_rng(20240229)
save_file({**pinned(r), **measured(r)}, sys.argv[1])
