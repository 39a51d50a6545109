#!/usr/bin/env python3
"""Makes tests/golden/tiny_gguf/: the tiny checkpoints of tests/golden/tiny as GGUF.

What: one NAME.gguf per checkpoint (llama_sharded becomes a split GGUF,
llama_sharded-0000i-of-00003.gguf), same weights, so tests/golden/tiny/NAME/ids.json and
logits.f32 hold for it as well. Matrices keep the checkpoint's type (F32, BF16, F16); norms,
biases and rope_freqs are F32, as llama.cpp's converter writes them.

llama.cpp's conventions that are followed here:
  - tensor names blk.N.attn_q.weight and so on; tied embeddings: no output.weight;
  - architecture llama: the rows of q and k (weights and biases) are permuted within each head
    from halves (i, i + d/2) to neighbours (2i, 2i + 1); qwen2 and qwen3 keep the order;
  - llama3 rope scaling: a tensor rope_freqs.weight [head_dim/2] of divisors of the frequencies,
    and no metadata about scaling;
  - linear: <arch>.rope.scaling.type/.factor;
  - yarn: .type, .factor, .original_context_length, .yarn_beta_fast, .yarn_beta_slow;
    the attention factor is (0.1 ln(factor) + 1) * rope.scaling.attn_factor (default 1).
    llama.cpp's converter writes the config's attention_factor or (misspelt) attn_factor as
    .yarn_attn_factor, and llama.cpp does not use that for qwen3: the file of
    qwen3_yarn_attn_factor has it, to be ignored. llama.cpp also ignores .yarn_beta_* of qwen3
    (they can be given on its command line); the reference logits honour them.
  - tokenizer: byte-level BPE of 3 control tokens, 256 bytes and a few merges.

Made with: Python 3.11, gguf 0.19.0, numpy 2.4. Needs no torch.

Run:  python tiny_gguf.py TINY_DIR OUT_DIR
      python tiny_gguf.py ../tiny ../tiny_gguf
"""

import argparse
import json
import math
from pathlib import Path

import gguf
import numpy as np

NAMES = {  # Hugging Face -> llama.cpp
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
SPLIT = {"llama_sharded": 3}


def read_safetensors(path):
    """name -> (dtype, array); BF16 as uint16 bit patterns."""
    raw = path.read_bytes()
    n = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:8 + n])
    kinds = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
    out = {}
    for name, t in header.items():
        if name == "__metadata__":
            continue
        a, b = t["data_offsets"]
        out[name] = (t["dtype"],
                     np.frombuffer(raw[8 + n + a:8 + n + b], kinds[t["dtype"]]).reshape(t["shape"]))
    return out


def to_f32(dtype, a):
    if dtype == "BF16":
        return (a.astype(np.uint32) << 16).view(np.float32)
    return a.astype(np.float32)


def gguf_name(name):
    stem, kind = name.rsplit(".", 1)
    if stem in NAMES:
        return f"{NAMES[stem]}.{kind}"
    _, _, layer, rest = stem.split(".", 3)  # model.layers.N.rest
    return f"blk.{layer}.{NAMES[rest]}.{kind}"


def permute(a, heads):
    """Rows of each head from (half, i) to (i, half): llama.cpp's pairs are neighbours."""
    return a.reshape(heads, 2, a.shape[0] // heads // 2, *a.shape[1:]).swapaxes(1, 2) \
            .reshape(a.shape)


def llama3_divisors(rope, dim):
    old = rope["original_max_position_embeddings"]
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    out = []
    for i in range(0, dim, 2):
        wavelen = 2 * math.pi * rope["rope_theta"] ** (i / dim)
        if wavelen < old / high:
            out.append(1.0)
        elif wavelen > old / low:
            out.append(factor)
        else:
            smooth = (old / wavelen - low) / (high - low)
            out.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(out, np.float32)


def byte_tokens():
    """GPT-2's printable stand-in of each byte."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in keep]
    table = {b: chr(b) for b in keep} | {b: chr(256 + i) for i, b in enumerate(rest)}
    return [table[b] for b in range(256)]


def add_tokenizer(w, arch, vocab):
    tokens = ["<|pad|>", "<|bos|>", "<|eos|>"] + byte_tokens()
    types = [gguf.TokenType.CONTROL] * 3 + [gguf.TokenType.NORMAL] * 256
    merges = []
    pairs = ((a, b) for a in "etaoinshr" for b in "etaoinshrd")
    while len(tokens) < vocab:
        a, b = next(pairs)
        merges.append(f"{a} {b}")
        tokens.append(a + b)
        types.append(gguf.TokenType.NORMAL)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2" if arch == "llama" else "qwen2")
    w.add_token_list(tokens)
    w.add_token_types(types)
    w.add_token_merges(merges)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_pad_token_id(0)
    w.add_add_bos_token(False)


def add_rope(w, rope):
    w.add_rope_freq_base(rope["rope_theta"])
    kind = rope["rope_type"]
    if kind == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(rope["factor"])
    elif kind == "yarn":
        def mscale(scale, m=1.0):
            return 0.1 * m * math.log(scale) + 1.0 if scale > 1 else 1.0
        factor = rope["factor"]
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(factor)
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if "beta_fast" in rope:
            w.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
            w.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
        if "attention_factor" in rope:
            w.add_rope_scaling_attn_factors(rope["attention_factor"] / mscale(factor))
        elif "mscale" in rope:
            wanted = mscale(factor, rope["mscale"]) / mscale(factor, rope["mscale_all_dim"])
            w.add_rope_scaling_attn_factors(wanted / mscale(factor))
        elif "attn_factor" in rope:
            w.add_rope_scaling_yarn_attn_factor(rope["attn_factor"])
    elif kind not in ("default", "llama3"):
        raise SystemExit(f"rope type {kind}")


def convert(folder, out_dir):
    name = folder.name
    config = json.loads((folder / "config.json").read_text())
    arch = config["model_type"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    rope = config["rope_parameters"]

    tensors = {}
    for f in sorted(folder.glob("*.safetensors")):
        tensors |= read_safetensors(f)

    split = SPLIT.get(name, 0)
    w = gguf.GGUFWriter(out_dir / f"{name}.gguf", arch,
                        split_max_tensors=-(-len(tensors) // split) if split else 0)
    w.add_name(name)
    w.add_vocab_size(config["vocab_size"])
    w.add_context_length(config["max_position_embeddings"])
    w.add_embedding_length(config["hidden_size"])
    w.add_block_count(config["num_hidden_layers"])
    w.add_feed_forward_length(config["intermediate_size"])
    w.add_head_count(heads)
    w.add_head_count_kv(kv_heads)
    if "head_dim" in config:
        w.add_key_length(head_dim)
        w.add_value_length(head_dim)
        if arch == "llama":
            w.add_rope_dimension_count(head_dim)
    w.add_layer_norm_rms_eps(config["rms_norm_eps"])
    w.add_file_type({"float32": gguf.LlamaFileType.ALL_F32, "float16": gguf.LlamaFileType.MOSTLY_F16,
                     "bfloat16": gguf.LlamaFileType.MOSTLY_BF16}[config["dtype"]])
    add_rope(w, rope)
    add_tokenizer(w, arch, config["vocab_size"])

    if rope["rope_type"] == "llama3":
        w.add_tensor("rope_freqs.weight", llama3_divisors(rope, head_dim))
    for hf_name, (dtype, a) in tensors.items():
        new = gguf_name(hf_name)
        if arch == "llama" and ".attn_q." in new:
            a = permute(a, heads)
        if arch == "llama" and ".attn_k." in new:
            a = permute(a, kv_heads)
        if a.ndim == 1 or dtype == "F32":
            w.add_tensor(new, np.ascontiguousarray(to_f32(dtype, a)))
        elif dtype == "F16":
            w.add_tensor(new, np.ascontiguousarray(a))
        else:
            w.add_tensor(new, np.ascontiguousarray(a).view(np.uint8),
                         raw_dtype=gguf.GGMLQuantizationType.BF16)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def run(doc, convert_all):
    """The command line of this script and its like: convert_all(tiny, out) writes the GGUFs."""
    ap = argparse.ArgumentParser(description=doc,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("tiny", type=Path)
    ap.add_argument("out", type=Path)
    args = ap.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for old in args.out.glob("*.gguf"):
        old.unlink()
    convert_all(args.tiny, args.out)
    for f in sorted(args.out.glob("*.gguf")):
        r = gguf.GGUFReader(f)
        print(f"{f.name:44s} {f.stat().st_size:8d} bytes, {len(r.tensors)} tensors")


def convert_all(tiny, out):
    for folder in sorted(tiny.iterdir()):
        if (folder / "config.json").exists():
            convert(folder, out)


if __name__ == "__main__":
    run(__doc__, convert_all)
