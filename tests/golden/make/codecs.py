#!/usr/bin/env python3
"""Makes tests/golden/codecs/: random blocks of each GGUF tensor type and their values.

Per type T, 17 rows of 512 values:
  T.raw   the rows' bytes as a GGUF file stores them, row after row
  T.f32   little-endian fp32 [17][512], what gguf.quants.dequantize gives
and manifest.json: {"versions":{..}, "types":[{name, ggml_type, rows, columns, block,
block_bytes, raw_bytes}]}.

Quants and packed 4/6-bit scales are random bits. The fp16 scales (and minima) of a block are
always finite; by row: 0-8 of ordinary size and either sign, 9 zero (either sign), 10 smallest subnormals,
11 random subnormals, 12 largest, 13 largest negative, 14 one and minus one, 15-16 any finite
bit pattern. MXFP4's exponents likewise (9 the smallest, 12-13 the largest); its rows 0-3 are normal
values as the gguf package quantises them (it cannot, the other types). F16 and BF16 rows hold values chosen the same way. Every value is finite;
products with negative scales give negative zeros. No value depends on whether the last
multiply and subtract are fused: the products are exact in fp32.

Made with: Python 3.11, gguf 0.19.0, numpy 2.4.

Run:  python codecs.py OUT_DIR
      python codecs.py ../codecs
"""

import argparse
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize

ROWS, COLUMNS = 17, 512

# Byte offsets of the fp16 scale (and minimum) in a block.
SCALES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
    T.IQ4_NL: [0], T.IQ4_XS: [0],
    T.IQ1_S: [0], T.IQ1_M: [], T.IQ2_XXS: [0], T.IQ2_XS: [0], T.IQ2_S: [0], T.IQ3_XXS: [0], T.IQ3_S: [0],
    T.MXFP4: [],  # has no half
    T.F16: [0], T.BF16: [0],  # the value itself
}


def halves(rng, row, n):
    """n finite fp16 bit patterns for a row."""
    if row <= 8:
        return (rng.standard_normal(n) * 10.0 ** rng.uniform(-4, 0, n)).astype("<f2").view("<u2")
    sign = rng.integers(0, 2, n).astype("<u2") << 15
    if row == 9:
        return sign
    if row == 10:
        return (sign | 1).astype("<u2")
    if row == 11:
        return (sign | rng.integers(1, 0x400, n)).astype("<u2")
    if row == 12:
        return np.full(n, 0x7BFF, "<u2")
    if row == 13:
        return np.full(n, 0xFBFF, "<u2")
    if row == 14:
        return (sign | 0x3C00).astype("<u2")
    return (sign | rng.integers(0, 0x7C00, n)).astype("<u2")


def bfloats(rng, row, n):
    """n finite BF16 bit patterns for a row."""
    if row <= 8:
        return (rng.standard_normal(n).astype("<f4").view("<u4") >> 16).astype("<u2")
    sign = rng.integers(0, 2, n).astype("<u2") << 15
    pick = {9: 0, 10: 1, 11: rng.integers(1, 0x80, n), 12: 0x7F7F, 13: 0xFF7F, 14: 0x3F80}
    value = pick.get(row, rng.integers(0, 0x7F80, n))
    return ((sign if row not in (12, 13) else 0) | value * np.ones(n, "<u2")).astype("<u2")


def exponents(rng, row, n):
    """n E8M0 scales of MXFP4 for a row; above 252 values overflow fp32."""
    pick = {9: 0, 10: 1, 11: rng.integers(0, 4, n), 12: 252, 13: 251, 14: rng.integers(127, 129, n)}
    value = rng.integers(110, 131, n) if row <= 8 else pick.get(row, rng.integers(0, 253, n))
    return (value * np.ones(n)).astype(np.uint8)


def make(kind, out_dir):
    block, size = GGML_QUANT_SIZES[kind]
    rng = np.random.default_rng(1000 + int(kind))
    blocks = COLUMNS // block
    raw = rng.integers(0, 256, (ROWS, blocks, size), dtype=np.uint8)
    for row in range(ROWS):
        for at in SCALES[kind]:
            bits = (bfloats if kind == T.BF16 else halves)(rng, row, blocks)
            raw[row, :, at:at + 2] = bits.view(np.uint8).reshape(blocks, 2)
        if kind == T.IQ1_M:  # the highest nibbles of four words are the half
            bits = halves(rng, row, blocks)
            for i in range(4):
                high = raw[row, :, 49 + 2 * i]
                raw[row, :, 49 + 2 * i] = (high & 15) | ((bits >> (4 * i)) & 15).astype(np.uint8) << 4
        if kind == T.MXFP4:
            raw[row, :, 0] = exponents(rng, row, blocks)
            if row < 4:
                normal = rng.standard_normal((1, COLUMNS)).astype(np.float32) * np.float32(0.02)
                raw[row] = quantize(normal, kind).reshape(blocks, size)
    raw = raw.reshape(ROWS, blocks * size)
    values = dequantize(raw.copy(), kind).astype("<f4").reshape(ROWS, COLUMNS)
    assert np.isfinite(values).all(), kind
    raw.tofile(out_dir / f"{kind.name}.raw")
    values.tofile(out_dir / f"{kind.name}.f32")
    print(f"{kind.name:7s} raw {raw.size:6d} bytes, |value| {np.abs(values[:9]).max():.3g} (ordinary "
          f"rows), {np.abs(values).max():.3g} (all), negative zeros "
          f"{int(((values == 0) & np.signbit(values)).sum())}")
    return dict(name=kind.name, ggml_type=int(kind), rows=ROWS, columns=COLUMNS, block=block,
                block_bytes=size, raw_bytes=raw.size)


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out", type=Path)
    args = ap.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    types = [make(kind, args.out) for kind in SCALES]
    (args.out / "manifest.json").write_text(json.dumps(
        dict(versions=dict(gguf=version("gguf"), numpy=np.__version__), types=types),
        indent=1) + "\n")


if __name__ == "__main__":
    main()
