#!/usr/bin/env python3
"""Makes tests/golden/tiny/: tiny random checkpoints with reference logits.

What it makes, per checkpoint (one folder each):
  config.json, generation_config.json, model*.safetensors (+ index when sharded)
                   written by Hugging Face transformers' own save_pretrained
  config.old.json  the same configuration in the older spelling (`rope_theta`,
                   `rope_scaling`, `torch_dtype`), derived by this script; the
                   script checks that transformers gives bit-equal logits with it
  ids.json         JSON array of token ids: the prompt
  logits.f32       little-endian fp32 [len(ids)][vocab_size]; row i follows ids[0..i]
and manifest.json, one entry per checkpoint (see tests/golden/README.md).

How: weights are random (seeded per name); all norm weights and biases are
randomised too, so that a forgotten or misplaced one shows. The checkpoint is
written in its dtype, loaded again with the weights upcast to fp32, and run once
over the whole prompt in fp32 with eager attention. The same run in fp64 tells
the noise of the fp32 reference itself ("fp32_noise" in the manifest: largest
difference over largest |logit|). The dimensions are awkward on purpose: uneven
heads, head_dim != hidden_size / heads, widths and vocabularies that no vector
length divides, prompts that cross 64-token borders, rope-scaled ones longer
than the original context.

Made with: Python 3.11, torch 2.15, transformers 5.23, safetensors (see the
"versions" field of manifest.json for the exact ones).

Run:  python tiny_checkpoints.py OUT_DIR [NAME ...]
      python tiny_checkpoints.py ../tiny
"""

import argparse
import copy
import json
import math
import os
import shutil
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import (AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config)

# Small bases put some frequencies between the borders of llama3 and yarn scaling, where
# the formulas interpolate; with published bases and contexts this short none would be.
LLAMA3 = dict(rope_type="llama3", rope_theta=150.0, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=32)
LINEAR = dict(rope_type="linear", rope_theta=10000.0, factor=4.0)
YARN = dict(rope_type="yarn", rope_theta=1000.0, factor=4.0,
            original_max_position_embeddings=40)
YARN_EXPLICIT = dict(YARN, beta_fast=2.0, beta_slow=0.25, attention_factor=1.25)
# DeepSeek's keys: attention factor = get_mscale(factor, mscale) / get_mscale(factor, all_dim)
YARN_MSCALE = dict(YARN, factor=8.0, mscale=1.5, mscale_all_dim=0.5,
                   original_max_position_embeddings=24)
# The misspelt key of DeepSeek-R1-0528-Qwen3-8B, which transformers ignores.
YARN_MISSPELT = dict(YARN, attn_factor=0.8782488562869419)


def rope(theta):
    return dict(rope_type="default", rope_theta=theta)


def shape(hidden, ffn, layers, heads, kv_heads, head_dim, vocab, eps, tied, rope_parameters,
          max_pos=512, **more):
    if head_dim is not None:
        more["head_dim"] = head_dim
    return dict(hidden_size=hidden, intermediate_size=ffn, num_hidden_layers=layers,
                num_attention_heads=heads, num_key_value_heads=kv_heads,
                vocab_size=vocab, rms_norm_eps=eps, tie_word_embeddings=tied,
                rope_parameters=rope_parameters, max_position_embeddings=max_pos,
                bos_token_id=1, eos_token_id=2, pad_token_id=None, initializer_range=0.3, **more)


# name: (config class, configuration, dtype, prompt length, shard size or None)
CASES = {
    "llama": (LlamaConfig, shape(36, 68, 2, 6, 2, 10, 271, 1e-5, False, rope(10000.0)),
              "float32", 131, None),
    "llama_tied": (LlamaConfig, shape(45, 76, 2, 5, 1, 14, 263, 1e-3, True, rope(100000.0)),
                   "float32", 70, None),
    "llama_llama3": (LlamaConfig, shape(36, 60, 2, 6, 2, 12, 269, 1e-5, False, LLAMA3, 256),
                     "float32", 150, None),
    "llama_linear": (LlamaConfig, shape(42, 70, 2, 3, 3, 14, 261, 1e-5, True, LINEAR, 256),
                     "float32", 97, None),
    "llama_bias": (LlamaConfig, shape(32, 58, 2, 4, 1, 10, 267, 1e-5, False, rope(10000.0),
                                      attention_bias=True, mlp_bias=True),
                   "float32", 80, None),
    "llama_sharded": (LlamaConfig, shape(30, 54, 3, 6, 3, 6, 265, 1e-5, False, rope(10000.0)),
                      "float32", 66, 40000),
    # head_dim = hidden_size / heads: Qwen2 has no head_dim key
    "qwen2": (Qwen2Config, shape(54, 84, 2, 9, 3, None, 331, 1e-6, True, rope(1000000.0)),
              "float32", 129, None),
    "qwen2_untied": (Qwen2Config, shape(40, 66, 2, 5, 1, None, 277, 1e-6, False,
                                        rope(1000000.0)),
                     "float32", 90, None),
    "qwen3": (Qwen3Config, shape(44, 70, 2, 6, 2, 10, 281, 1e-6, True, rope(1000000.0)),
              "float32", 100, None),
    "qwen3_yarn": (Qwen3Config, shape(34, 54, 2, 6, 2, 22, 271, 1e-6, True, YARN, 160),
                   "float32", 160, None),
    "qwen3_yarn_explicit": (Qwen3Config, shape(38, 58, 2, 5, 1, 26, 263, 1e-6, True,
                                               YARN_EXPLICIT, 160),
                            "float32", 90, None),
    "qwen3_yarn_mscale": (Qwen3Config, shape(32, 50, 2, 3, 1, 24, 261, 1e-6, True,
                                             YARN_MSCALE, 192),
                          "float32", 70, None),
    "qwen3_yarn_attn_factor": (Qwen3Config, shape(34, 62, 2, 4, 2, 18, 269, 1e-6, True,
                                                  YARN_MISSPELT, 160),
                               "float32", 75, None),
    # The widest: 84 and 212
    "llama_llama3_bf16": (LlamaConfig, shape(84, 212, 2, 6, 2, 10, 331, 1e-5, True, LLAMA3, 256),
                          "bfloat16", 110, None),
    "qwen2_bf16": (Qwen2Config, shape(60, 92, 2, 6, 2, None, 299, 1e-6, True, rope(1000000.0)),
                   "bfloat16", 77, None),
    "qwen3_yarn_bf16": (Qwen3Config, shape(52, 100, 2, 6, 2, 22, 307, 1e-6, True, YARN, 160),
                        "bfloat16", 99, None),
    # 45: rows that start at odd multiples of two bytes
    "llama_f16": (LlamaConfig, shape(45, 90, 2, 5, 1, 10, 283, 1e-5, False, rope(10000.0)),
                  "float16", 72, None),
}


def randomise(model, seed):
    """Overwrites every weight: matrices normal, norms around 1, biases around 0."""
    gen = torch.Generator().manual_seed(seed)
    done = set()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.data_ptr() in done:
                continue
            done.add(p.data_ptr())
            r = torch.randn(p.shape, generator=gen, dtype=torch.float32)
            if name.endswith("bias"):
                value = 0.4 * r
            elif p.ndim == 1:  # norm weights; a few negative ones
                value = 1.0 + 0.5 * r
            elif "embed_tokens" in name:
                value = 0.4 * r
            else:  # keeps every activation of order one, whatever the width
                value = (1.7 / math.sqrt(p.shape[-1])) * r
            p.copy_(value.to(p.dtype))


def older_spelling(config, kind):
    """config.json as checkpoints before transformers 5 spell it."""
    old = copy.deepcopy(config)
    old["torch_dtype"] = old.pop("dtype")
    params = dict(old.pop("rope_parameters"))
    old["rope_theta"] = params.pop("rope_theta")
    rope_type = params.pop("rope_type")
    if rope_type == "default":
        old["rope_scaling"] = None
    else:
        # All three spellings occur in published checkpoints.
        if kind == "type":
            params = {"type": rope_type, **params}
        elif kind == "both":
            params = {"rope_type": rope_type, "type": rope_type, **params}
        else:
            params = {"rope_type": rope_type, **params}
        old["rope_scaling"] = params
    old.pop("transformers_version", None)
    old.pop("layer_types", None)
    return old


def logits_of(folder, ids, dtype, config_text=None, **options):
    """Loads `folder` (with another config.json if given) and runs the prompt."""
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        for f in folder.iterdir():
            if f.suffix in (".safetensors", ".json"):
                shutil.copy(f, tmp / f.name)
        if config_text is not None:
            (tmp / "config.json").write_text(config_text)
        model = AutoModelForCausalLM.from_pretrained(tmp, dtype=torch.float32,
                                                     attn_implementation="eager",
                                                     **options).eval()
        if dtype == torch.float64:
            model = model.double()
        with torch.no_grad():
            out = model(torch.tensor([ids]), use_cache=False).logits[0]
        return out, model


def make(name, out_dir):
    cls, spec, dtype, length, shard = CASES[name]
    seed = zlib.crc32(name.encode())
    torch.manual_seed(seed)
    config = cls(**copy.deepcopy(spec))
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    randomise(model, seed)
    model = model.to(getattr(torch, dtype))
    model.config.dtype = getattr(torch, dtype)

    folder = out_dir / name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    model.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))

    rng = np.random.default_rng(seed)
    ids = [int(i) for i in rng.integers(0, spec["vocab_size"], length)]
    ids[0] = 0
    ids[1] = spec["vocab_size"] - 1  # both ends of the table
    (folder / "ids.json").write_text(json.dumps(ids) + "\n")

    new = json.loads((folder / "config.json").read_text())
    kind = ("rope_type", "type", "both")[sorted(CASES).index(name) % 3]
    old_text = json.dumps(older_spelling(new, kind), indent=2) + "\n"
    (folder / "config.old.json").write_text(old_text)

    ref, loaded = logits_of(folder, ids, torch.float32)
    assert ref.dtype == torch.float32 and torch.isfinite(ref).all()
    ref_old, _ = logits_of(folder, ids, torch.float32, old_text)
    assert torch.equal(ref, ref_old), f"{name}: the older spelling gives other logits"
    ref64, _ = logits_of(folder, ids, torch.float64)
    largest = ref.abs().max().item()
    noise = ((ref.double() - ref64).abs().max() / largest).item()
    ref.numpy().astype("<f4").tofile(folder / "logits.f32")

    attention_factor = getattr(loaded.model.rotary_emb, "attention_scaling", 1.0)
    entry = dict(name=name, model_type=new["model_type"], dtype=dtype, positions=length,
                 vocab=spec["vocab_size"], max_abs_logit=largest, fp32_noise=noise,
                 rope=spec["rope_parameters"]["rope_type"],
                 rope_attention_factor=float(attention_factor),
                 tied=spec["tie_word_embeddings"],
                 files=sorted(f.name for f in folder.glob("*.safetensors")))
    size = sum(f.stat().st_size for f in folder.iterdir())
    top = ref.softmax(-1).max(-1).values.mean().item()
    print(f"{name:24s} {size/1000:7.0f} kB  max|logit| {largest:7.3f}  fp32 noise {noise:.1e}  "
          f"mean top probability {top:.2f}  attention factor {attention_factor:.6f}")
    return entry


def run(doc, cases, make):
    """The command line of this script and its like: makes the checkpoints of `cases` and their manifest."""
    ap = argparse.ArgumentParser(description=doc,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out", type=Path)
    ap.add_argument("names", nargs="*", help="only these")
    args = ap.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    os.umask(0o022)
    path = args.out / "manifest.json"
    old = json.loads(path.read_text())["checkpoints"] if args.names and path.exists() else []
    entries = {e["name"]: e for e in old}
    for name in args.names or cases:
        entries[name] = make(name, args.out)
        manifest = dict(versions=dict(torch=torch.__version__.split("+")[0],
                                      transformers=transformers.__version__),
                        checkpoints=[entries[n] for n in cases if n in entries])
        path.write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    run(__doc__, CASES, make)
