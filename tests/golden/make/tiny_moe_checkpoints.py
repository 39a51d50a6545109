#!/usr/bin/env python3
"""Makes tests/golden/tiny_moe/: tiny random mixture-of-experts and MLA checkpoints.

The files of each folder are those of tests/golden/tiny (see tiny_checkpoints.py, whose parts
this script uses), with the published tensor names: one tensor per expert and projection, which
is also what transformers 5 writes (in memory it holds all experts in one). config.old.json is
config.json as the published checkpoints spell it, with their keys (scoring_func, topk_method,
moe_layer_freq ...), which transformers neither reads nor writes.

Three references are held against each other for every checkpoint, in fp32 on upcast or
dequantised weights, with eager attention and eager experts:
  - transformers (logits.f32 is its output, except for model_type deepseek);
  - transformers on config.old.json: bit-equal;
  - official_moe.py, DeepSeek's published formulas in plain torch: within 2e-5.
For model_type deepseek (DeepSeek-MoE-16B) transformers has no class; logits.f32 is
official_moe.py's. kimi_k2 has none either: it is run as deepseek_v3 and model_type renamed.

How a choice of experts is kept from being a matter of rounding: seeds are tried until every
choice of every token (groups and experts) is decided by a gap of at least MARGIN in the score;
the manifest has the least gap ("routing_margin"). It also has the share of the choices that
would come out otherwise without the bias, without the groups, or if the experts of the groups
left out had score 0 and not -inf ("changed_by").

FP8 (*_fp8*): the official layout. The seven kinds of projections of attention, dense layers,
experts and shared experts are F8_E4M3 with a F32 NAME_scale_inv, a scale per 128 x 128 block
(ragged at the ends), the value being weight * scale; embedding, norms, router and lm_head are
BF16 and e_score_correction_bias F32. *_ue8m0: the scales are powers of two (V3.1).

Made with: Python 3.11, torch 2.15, transformers 5.23, safetensors 0.8 (see the "versions" field
of manifest.json for the exact ones).

Run:  python tiny_moe_checkpoints.py OUT_DIR [NAME ...]
      python tiny_moe_checkpoints.py ../tiny_moe
"""

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
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, DeepseekV2Config, DeepseekV3Config,
                          Glm4MoeLiteConfig, Qwen3MoeConfig)

import official_moe
from tiny_checkpoints import logits_of, older_spelling, randomise, rope, run

MARGIN = 1e-5
EAGER = dict(experts_implementation="eager")

# Small bases put some frequencies between the borders of yarn, where it interpolates.
LITE = dict(rope_type="yarn", rope_theta=1000.0, factor=40.0, beta_fast=32, beta_slow=1,
            mscale=0.707, mscale_all_dim=0.707, original_max_position_embeddings=40)
EQUAL = dict(LITE, factor=12.0, mscale=1.0, mscale_all_dim=1.0, beta_fast=4)
UNEQUAL = dict(LITE, factor=8.0, mscale=1.3, mscale_all_dim=0.6, beta_fast=3)
KIMI = dict(EQUAL, factor=32.0, beta_fast=1.0, beta_slow=1.0, rope_theta=500.0)


def shape(hidden, ffn, moe_ffn, layers, heads, vocab, rope_parameters, **more):
    """more: num_key_value_heads, the MLA dimensions, the routing"""
    common = dict(hidden_size=hidden, intermediate_size=ffn, moe_intermediate_size=moe_ffn,
                  num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=heads,
                  vocab_size=vocab, rms_norm_eps=1e-6, tie_word_embeddings=False,
                  rope_parameters=rope_parameters, bos_token_id=0, eos_token_id=1,
                  pad_token_id=None, initializer_range=0.3)
    old = rope_parameters.get("original_max_position_embeddings")
    common["max_position_embeddings"] = int(old * rope_parameters["factor"]) if old else 512
    return common | more


def mla(q, kv, nope, rot, v):
    return dict(q_lora_rank=q, kv_lora_rank=kv, qk_nope_head_dim=nope, qk_rope_head_dim=rot,
                v_head_dim=v)


def v2(experts, top, shared, dense, factor, groups=None, kept=None):
    return dict(n_routed_experts=experts, num_experts_per_tok=top, n_shared_experts=shared,
                first_k_dense_replace=dense, routed_scaling_factor=factor, norm_topk_prob=False,
                topk_method="group_limited_greedy" if groups else "greedy",
                n_group=groups or 1, topk_group=kept or 1)


def v3(experts, top, shared, dense, factor, groups, kept, mtp=0):
    return dict(n_routed_experts=experts, num_experts_per_tok=top, n_shared_experts=shared,
                first_k_dense_replace=dense, routed_scaling_factor=factor, norm_topk_prob=True,
                n_group=groups, topk_group=kept, num_nextn_predict_layers=mtp)


def glm(experts, top, shared, factor, types):
    return dict(n_routed_experts=experts, num_experts_per_tok=top, n_shared_experts=shared,
                routed_scaling_factor=factor, norm_topk_prob=True, n_group=1, topk_group=1,
                mlp_layer_types=types)


V2, V3, GLM, QWEN = DeepseekV2Config, DeepseekV3Config, Glm4MoeLiteConfig, Qwen3MoeConfig

# name: (config class, configuration, dtype, prompt length, mean of the bias)
CASES = {
    "deepseek_v2_lite": (V2, shape(36, 62, 14, 3, 3, 263, LITE, **mla(None, 22, 10, 12, 9),
                                   **v2(13, 4, 2, 1, 1.0)), "float32", 150, 0),
    "deepseek_v2": (V2, shape(40, 58, 13, 2, 5, 261, UNEQUAL, **mla(19, 22, 8, 10, 11),
                              **v2(15, 4, 2, 1, 6.5, 3, 2)), "float32", 131, 0),
    "deepseek_v2_groups5": (V2, shape(35, 50, 11, 2, 5, 262, EQUAL, **mla(23, 18, 10, 14, 7),
                                      **v2(20, 3, 1, 0, 16.0, 5, 2)), "float32", 97, 0),
    "deepseek_v2_dense2": (V2, shape(32, 54, 15, 3, 4, 265, rope(10000.0),
                                     **mla(None, 18, 12, 6, 10), **v2(9, 2, 3, 2, 2.0)),
                           "float32", 70, 0),
    "deepseek_v2_lite_bf16": (V2, shape(45, 70, 18, 3, 3, 267, LITE, **mla(None, 26, 12, 12, 13),
                                        **v2(14, 5, 2, 1, 1.0)), "bfloat16", 110, 0),
    "deepseek_v3": (V3, shape(36, 66, 14, 2, 4, 263, EQUAL, **mla(20, 22, 10, 12, 9),
                              **v3(20, 6, 1, 1, 2.5, 5, 3)), "float32", 170, 0),
    # The bias is about -1.2, so that kept scores are negative. transformers writes
    # num_nextn_predict_layers 1 unless told otherwise, and no such tensors: kept here.
    "deepseek_v3_groups7": (V3, shape(33, 52, 12, 2, 3, 261, UNEQUAL, **mla(None, 19, 8, 14, 11),
                                      **v3(21, 5, 2, 0, 2.5, 7, 3, mtp=1)), "float32", 101, -1.2),
    "deepseek_v3_mtp": (V3, shape(32, 56, 10, 2, 2, 261, rope(10000.0), **mla(14, 16, 9, 8, 12),
                                  **v3(12, 3, 1, 1, 2.5, 3, 2, mtp=1)), "float32", 72, 0),
    # The norms of the latents (q_a, kv_a) have eps 1e-6 whatever rms_norm_eps says.
    "deepseek_v3_eps": (V3, shape(28, 46, 10, 2, 2, 259, EQUAL, **mla(15, 16, 9, 8, 10),
                                  **v3(10, 3, 1, 1, 2.5, 5, 3)) | dict(rms_norm_eps=0.02),
                        "float32", 70, 0),
    "deepseek_v3_bf16": (V3, shape(44, 70, 18, 2, 5, 265, EQUAL, **mla(26, 24, 11, 14, 10),
                                   **v3(15, 4, 1, 1, 2.5, 5, 3)), "bfloat16", 120, 0),
    "deepseek_v3_fp8": (V3, shape(200, 140, 36, 2, 5, 259, EQUAL, **mla(136, 136, 28, 12, 26),
                                  **v3(10, 4, 4, 1, 2.5, 5, 3)), "fp8", 129, 0),
    "deepseek_v3_fp8_ue8m0": (V3, shape(136, 150, 40, 2, 3, 260, UNEQUAL,
                                        **mla(None, 130, 34, 10, 25),
                                        **v3(7, 2, 1, 1, 2.5, 1, 1)), "fp8", 90, 0),
    "kimi_k2": (V3, shape(38, 60, 13, 2, 4, 264, KIMI, **mla(21, 20, 9, 10, 8),
                          **v3(11, 4, 1, 1, 2.827, 1, 1)) | dict(rms_norm_eps=1e-5),
                "float32", 140, 0),
    "qwen3_moe": (QWEN, shape(36, 60, 14, 2, 6, 271, rope(1000000.0), num_key_value_heads=2,
                              head_dim=10, num_experts=11, num_experts_per_tok=4,
                              norm_topk_prob=True), "float32", 100, 0),
    # Layers 0 and 2 are dense by the step, 1 by the list; 3 is sparse.
    "qwen3_moe_mixed": (QWEN, shape(34, 50, 15, 4, 5, 263, rope(10000.0), num_key_value_heads=1,
                                    head_dim=8, num_experts=9, num_experts_per_tok=3,
                                    norm_topk_prob=False, decoder_sparse_step=2,
                                    mlp_only_layers=[1]) | dict(tie_word_embeddings=True),
                        "float32", 77, 0),
    "qwen3_moe_bf16": (QWEN, shape(50, 70, 22, 2, 6, 269, rope(1000000.0), num_key_value_heads=3,
                                   head_dim=12, num_experts=13, num_experts_per_tok=5,
                                   norm_topk_prob=True), "bfloat16", 90, 0),
    "glm4_moe_lite": (GLM, shape(36, 58, 10, 3, 5, 262, rope(1000000.0), **mla(18, 20, 12, 8, 14),
                                 **glm(10, 3, 1, 1.8, ["dense", "sparse", "sparse"]))
                      | dict(rms_norm_eps=1e-5), "float32", 90, 0),
    "glm4_moe_lite_mixed_bf16": (GLM, shape(40, 58, 15, 3, 4, 261, rope(10000.0),
                                            **mla(17, 19, 11, 10, 15),
                                            **glm(9, 4, 2, 1.8, ["sparse", "dense", "sparse"])),
                                 "bfloat16", 80, 0),
    # Not a class of transformers: see below
    "deepseek": (None, shape(40, 64, 14, 2, 4, 263, rope(10000.0), n_routed_experts=13,
                             n_shared_experts=2, num_experts_per_tok=4, first_k_dense_replace=1,
                             moe_layer_freq=1, norm_topk_prob=False, scoring_func="softmax"),
                 "float32", 130, 0),
    "deepseek_bf16": (None, shape(50, 70, 18, 2, 5, 265, rope(10000.0), n_routed_experts=11,
                                  n_shared_experts=2, num_experts_per_tok=3,
                                  first_k_dense_replace=1, moe_layer_freq=1,
                                  norm_topk_prob=False, scoring_func="softmax"),
                      "bfloat16", 75, 0),
}


def deepseek_shapes(c):
    """Names and shapes of DeepSeek-MoE-16B's tensors."""
    d = c["hidden_size"]
    out = {"model.embed_tokens.weight": (c["vocab_size"], d), "model.norm.weight": (d,),
           "lm_head.weight": (c["vocab_size"], d)}

    def add_mlp(prefix, width):
        out.update({f"{prefix}.gate_proj.weight": (width, d), f"{prefix}.up_proj.weight": (width, d),
                    f"{prefix}.down_proj.weight": (d, width)})
    for n in range(c["num_hidden_layers"]):
        p = f"model.layers.{n}."
        out |= {p + f"self_attn.{x}_proj.weight": (d, d) for x in "qkvo"}
        out |= {p + "input_layernorm.weight": (d,), p + "post_attention_layernorm.weight": (d,)}
        if n < c["first_k_dense_replace"]:
            add_mlp(p + "mlp", c["intermediate_size"])
            continue
        out[p + "mlp.gate.weight"] = (c["n_routed_experts"], d)
        add_mlp(p + "mlp.shared_experts", c["moe_intermediate_size"] * c["n_shared_experts"])
        for e in range(c["n_routed_experts"]):
            add_mlp(p + f"mlp.experts.{e}", c["moe_intermediate_size"])
    return out


def deepseek_config(spec, dtype):
    """config.json as DeepSeek-MoE-16B's is: only the older spelling exists."""
    c = dict(architectures=["DeepseekForCausalLM"], model_type="deepseek", **copy.deepcopy(spec))
    c["rope_theta"] = c.pop("rope_parameters")["rope_theta"]
    c |= dict(rope_scaling=None, attention_bias=False, attention_dropout=0.0, hidden_act="silu",
              aux_loss_alpha=0.001, seq_aux=True, pretraining_tp=1, use_cache=True,
              torch_dtype=dtype)
    c.pop("pad_token_id")
    return dict(sorted(c.items()))


class Parameters:
    """What randomise() needs of a model."""
    def __init__(self, shapes):
        self.tensors = {n: torch.empty(s) for n, s in shapes.items()}

    def named_parameters(self):
        return self.tensors.items()


def published(config):
    """The older spelling, with the published keys and without those transformers added."""
    old = older_spelling(config, "type") if "rope_parameters" in config else copy.deepcopy(config)
    for key in ("head_dim", "qk_head_dim", "rope_interleave", "output_router_logits"):
        if old["model_type"] != "qwen3_moe":
            old.pop(key, None)
    kind = old["model_type"]
    if kind in ("deepseek_v2", "deepseek_v3", "kimi_k2"):
        old |= dict(moe_layer_freq=1, ep_size=1, aux_loss_alpha=0.001, seq_aux=True,
                    scoring_func="softmax" if kind == "deepseek_v2" else "sigmoid",
                    topk_method=old.get("topk_method", "noaux_tc"))
    if kind == "glm4_moe_lite":
        old |= dict(topk_method="noaux_tc", partial_rotary_factor=1.0)
        types = old["mlp_layer_types"]
        dense = types.count("dense")
        if types == ["dense"] * dense + ["sparse"] * (len(types) - dense):
            old["first_k_dense_replace"] = dense
            if dense == 1:  # what transformers assumes
                del old["mlp_layer_types"]
    if kind == "qwen3_moe" and "num_local_experts" in old:
        old["num_experts"] = old.pop("num_local_experts")
    return dict(sorted(old.items()))


def to_fp8(tensors, power_of_two):
    """The official layout: tensors of the file, and the same dequantised."""
    out, plain = {}, {}
    for name, w in tensors.items():
        if not name.endswith("_proj.weight") and not name.endswith("kv_a_proj_with_mqa.weight"):
            out[name] = w if name.endswith("bias") else w.bfloat16()
            plain[name] = out[name].float()
            continue
        rows, cols = w.shape
        scale = torch.empty(-(-rows // 128), -(-cols // 128))
        codes, value = torch.empty_like(w, dtype=torch.float8_e4m3fn), torch.empty_like(w)
        for i in range(scale.shape[0]):
            for j in range(scale.shape[1]):
                at = (slice(i * 128, i * 128 + 128), slice(j * 128, j * 128 + 128))
                # Blocks of different sizes, so that a misplaced scale shows
                block = w[at] * (0.6, 1.7, 1.0, 0.4)[(i + 2 * j) % 4]
                s = block.abs().max() / 448
                if power_of_two:
                    s = torch.exp2(torch.ceil(torch.log2(s)))
                codes[at] = (block / s).to(torch.float8_e4m3fn)
                value[at] = codes[at].float() * s
                scale[i, j] = s
        out[name], out[name + "_scale_inv"], plain[name] = codes, scale, value
    return out, plain


def add_mtp(tensors, config, seed):
    """The layer after the last, as DeepSeek-V3 has it; copies of embedding and head."""
    last, new = config["num_hidden_layers"] - 1, config["num_hidden_layers"]
    gen = torch.Generator().manual_seed(seed)
    d = config["hidden_size"]
    mine = f"model.layers.{new}."
    for name, w in list(tensors.items()):
        prefix = f"model.layers.{last}."
        if name.startswith(prefix):
            shuffled = w.flatten()[torch.randperm(w.numel(), generator=gen)]
            tensors[mine + name[len(prefix):]] = shuffled.view(w.shape).contiguous()
    tensors[mine + "embed_tokens.weight"] = tensors["model.embed_tokens.weight"].clone()
    tensors[mine + "shared_head.head.weight"] = tensors["lm_head.weight"].clone()
    for norm in ("enorm", "hnorm", "shared_head.norm"):
        tensors[mine + norm + ".weight"] = 1 + 0.5 * torch.randn(d, generator=gen)
    tensors[mine + "eh_proj.weight"] = torch.randn(d, 2 * d, generator=gen) / math.sqrt(2 * d)


def routing(config, seen):
    """The least gap of any choice, and what share of the choices depends on what."""
    margin, tokens, unused = float("inf"), 0, []
    changed = dict(bias=0, groups=0, zero_fill=0)
    for router_logits, bias, _ in seen:
        # In fp64, so that the gap is the true one
        s = router_logits.double()
        b = None if bias is None else bias.double()
        ids, _, gap = official_moe.route(config, s, b)
        margin = min(margin, gap)
        chosen = ids.sort(-1).values
        tokens += len(chosen)

        def differing(*other, **fill):
            return (official_moe.route(*other, **fill)[0].sort(-1).values != chosen).any(-1).sum()
        if b is not None:
            changed["bias"] += differing(config, s, None).item()
        if config.get("topk_group", 1) < config.get("n_group", 1):
            free = config | dict(n_group=1, topk_group=1, topk_method="greedy")
            changed["groups"] += differing(free, s, b).item()
            changed["zero_fill"] += differing(config, s, b, fill=0.0).item()
        unused.append(s.shape[1] - len(ids.unique()))
    return margin, {k: round(v / tokens, 3) for k, v in changed.items()}, unused


def write(folder, tensors, config):
    folder.mkdir(parents=True, exist_ok=True)
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def build(name, seed):
    """(tensors in fp32 as rounded to the file's type, config.json, tensors of the file)."""
    cls, spec, dtype, _, bias = CASES[name]
    torch.manual_seed(seed)
    if cls is None:
        model = Parameters(deepseek_shapes(spec))
        randomise(model, seed)
        tensors, config = model.tensors, deepseek_config(spec, dtype)
    else:
        model = AutoModelForCausalLM.from_config(cls(**copy.deepcopy(spec)), dtype=torch.float32)
        randomise(model, seed)
        gen = torch.Generator().manual_seed(seed + 1)
        for buffer_name, b in model.named_buffers():
            if buffer_name.endswith("e_score_correction_bias"):
                b.copy_(bias + 0.2 * torch.randn(b.shape, generator=gen))
        with tempfile.TemporaryDirectory() as tmp:
            model.save_pretrained(tmp)
            tensors = load_file(Path(tmp) / "model.safetensors")
            config = json.loads((Path(tmp) / "config.json").read_text())
    if dtype == "fp8":
        file_tensors, tensors = to_fp8(tensors, name.endswith("ue8m0"))
        config["dtype"] = "bfloat16"
        config["quantization_config"] = dict(activation_scheme="dynamic", fmt="e4m3",
                                             quant_method="fp8", weight_block_size=[128, 128])
        if name.endswith("ue8m0"):
            config["quantization_config"]["scale_fmt"] = "ue8m0"
    else:
        if name == "deepseek_v3_mtp":
            add_mtp(tensors, config, seed + 2)
        kind = getattr(torch, dtype)
        file_tensors = {n: t if n.endswith("e_score_correction_bias") else t.to(kind)
                        for n, t in tensors.items()}
        tensors = {n: t.float() for n, t in file_tensors.items()}
        if "dtype" in config:
            config["dtype"] = dtype
    return tensors, config, file_tensors


def make(name, out_dir):
    cls, spec, dtype, length, _ = CASES[name]
    for attempt in range(60):
        seed = zlib.crc32(name.encode()) + attempt
        tensors, config, file_tensors = build(name, seed)
        old = published(config)
        rng = np.random.default_rng(seed)
        ids = [int(i) for i in rng.integers(0, spec["vocab_size"], length)]
        ids[0], ids[1] = 0, spec["vocab_size"] - 1
        seen = []
        official = official_moe.logits(old, tensors, ids, seen=seen)
        margin, changed, unused = routing(old, seen)
        if margin >= MARGIN:
            break
    else:
        raise SystemExit(f"{name}: no seed with a margin of {MARGIN}")

    folder = out_dir / name
    if folder.exists():
        shutil.rmtree(folder)
    if name.startswith("kimi_k2"):
        config["model_type"] = old["model_type"] = "kimi_k2"
    write(folder, file_tensors, config)
    (folder / "config.old.json").write_text(json.dumps(old, indent=2) + "\n")
    (folder / "ids.json").write_text(json.dumps(ids) + "\n")

    factor = official_moe.frequencies(old, 8)[1]
    if cls is None:
        ref, against = official, None
        ref64 = official_moe.logits(old, tensors, ids, torch.float64)
    else:
        # transformers cannot read kimi_k2 and is not asked to dequantise.
        with tempfile.TemporaryDirectory() as tmp:
            plain = {k: v for k, v in config.items() if k != "quantization_config"}
            old_plain = {k: v for k, v in old.items() if k != "quantization_config"}
            plain["model_type"] = old_plain["model_type"] = cls.model_type
            write(Path(tmp), tensors if dtype == "fp8" else file_tensors, plain)
            ref, loaded = logits_of(Path(tmp), ids, torch.float32, **EAGER)
            assert loaded.config._experts_implementation == "eager"
            ref_old, _ = logits_of(Path(tmp), ids, torch.float32, json.dumps(old_plain), **EAGER)
            assert torch.equal(ref, ref_old), f"{name}: the older spelling gives other logits"
            ref64, _ = logits_of(Path(tmp), ids, torch.float64, **EAGER)
        against = ((ref - official).abs().max() / ref.abs().max()).item()
        assert against < 2e-5, f"{name}: transformers and the formulas differ by {against:.1e}"
        assert abs(loaded.model.rotary_emb.attention_scaling - factor) < 1e-6
    assert ref.dtype == torch.float32 and torch.isfinite(ref).all()
    largest = ref.abs().max().item()
    noise = ((ref.double() - ref64).abs().max() / largest).item()
    ref.numpy().astype("<f4").tofile(folder / "logits.f32")

    yarn = old.get("rope_scaling") or {}
    softmax_factor = official_moe.get_mscale(yarn.get("factor", 1), yarn.get("mscale_all_dim", 0))
    entry = dict(name=name, model_type=config["model_type"], dtype=dtype, positions=length,
                 vocab=spec["vocab_size"], max_abs_logit=largest, fp32_noise=noise,
                 official_difference=against, rope=spec["rope_parameters"]["rope_type"],
                 rope_attention_factor=factor, softmax_scale_factor=softmax_factor ** 2,
                 routing_margin=margin, changed_by=changed, seed=seed,
                 files=sorted(f.name for f in folder.glob("*.safetensors")))
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name:26s} {size/1000:6.0f} kB  max|logit| {largest:7.3f}  noise {noise:.1e}  official "
          f"{against or 0:.1e}  margin {margin:.1e} (seed +{attempt})  changed {changed}  "
          f"experts never chosen {unused}", flush=True)
    return entry


if __name__ == "__main__":
    run(__doc__, CASES, make)
