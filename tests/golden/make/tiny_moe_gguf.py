#!/usr/bin/env python3
"""Makes tests/golden/tiny_moe_gguf/: checkpoints of tests/golden/tiny_moe as GGUF, F32.

What: NAME.gguf for the F32 checkpoints that llama.cpp's metadata can describe, same weights, so
tests/golden/tiny_moe/NAME/ids.json and logits.f32 hold for it as well; and NAME.fused.gguf, the
older form, for a few.

llama.cpp's conventions that are followed here (its converter's, read in November 2026):
  - architecture deepseek2 for deepseek_v2, deepseek_v3, kimi_k2 and glm4_moe_lite; deepseek for
    deepseek; qwen3moe for qwen3_moe;
  - experts stacked: ffn_{gate,up,down}_exps [experts][rows][columns]; shared ones
    ffn_{gate,up,down}_shexp; router ffn_gate_inp.weight; e_score_correction_bias
    exp_probs_b.bias;
  - MLA: attn_q or attn_q_a, attn_q_a_norm, attn_q_b; attn_kv_a_mqa (rows: latent, then the rope
    part), attn_kv_a_norm; rope rows stay interleaved, nothing is permuted;
  - kv_b today: attn_k_b [heads][kv_lora_rank][nope], each head transposed, and attn_v_b
    [heads][v][kv_lora_rank]; attention.head_count_kv 1, key_length kv_lora_rank + rope,
    value_length kv_lora_rank, and the true ones in key_length_mla (nope + rope) and
    value_length_mla. Until April 2025 (here: *.fused.gguf): attn_kv_b, head_count_kv =
    head_count, key_length nope + rope, value_length v, no *_mla;
  - expert_gating_func 1 softmax, 2 sigmoid; absent in old V2 files (here deepseek_v2_lite.fused):
    softmax. llama.cpp takes sigmoid if it is absent, there are 47 or 48 layers and the
    vocabulary has 154880 entries (GLM-4.7-Flash). expert_weights_norm is written only when true;
  - yarn: rope.scaling.type/.factor/.original_context_length/.yarn_beta_fast/.yarn_beta_slow and
    .yarn_log_multiplier = 0.1 * mscale_all_dim, to be divided by 0.1; mscale is not written and
    taken to equal mscale_all_dim: checkpoints where it does not have no GGUF here;
  - deepseek: the rows of q and k permuted as for llama, rope.scaling.type none;
  - qwen3moe has no key for norm_topk_prob (true is meant) nor for dense layers;
  - MTP layers are left out, block_count does not count them.
Groups: expert_group_count, expert_group_used_count. llama.cpp 0.3.36 scores the groups of a
softmax router by the sum of their two best as well, where the official V2 takes the best
(deepseek_v2_groups5: its figures are not the reference's).

Made with: Python 3.11, gguf 0.19.0, numpy 2.4. Needs no torch.

Run:  python tiny_moe_gguf.py TINY_MOE_DIR OUT_DIR
      python tiny_moe_gguf.py ../tiny_moe ../tiny_moe_gguf
"""

import json
import re

import gguf
import numpy as np

from tiny_gguf import NAMES, add_tokenizer, permute, read_safetensors, run, to_f32

MOE_NAMES = NAMES | {
    "self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm",
    "self_attn.q_b_proj": "attn_q_b", "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
    "self_attn.kv_a_layernorm": "attn_kv_a_norm", "self_attn.kv_b_proj": "attn_kv_b",
    "mlp.gate": "ffn_gate_inp", "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
    "mlp.shared_experts.up_proj": "ffn_up_shexp", "mlp.shared_experts.down_proj": "ffn_down_shexp",
    "mlp.experts.gate_proj": "ffn_gate_exps", "mlp.experts.up_proj": "ffn_up_exps",
    "mlp.experts.down_proj": "ffn_down_exps",
}
ARCHITECTURES = {"deepseek_v2": "deepseek2", "deepseek_v3": "deepseek2", "kimi_k2": "deepseek2",
                 "glm4_moe_lite": "deepseek2", "deepseek": "deepseek", "qwen3_moe": "qwen3moe"}
FUSED = ("deepseek_v2_lite", "deepseek_v3")


def gguf_name(name):
    if name.endswith("e_score_correction_bias"):
        return f"blk.{name.split('.')[2]}.exp_probs_b.bias"
    stem, kind = name.rsplit(".", 1)
    if stem in MOE_NAMES:
        return f"{MOE_NAMES[stem]}.{kind}"
    _, _, layer, rest = stem.split(".", 3)  # model.layers.N.rest
    return f"blk.{layer}.{MOE_NAMES[rest]}.{kind}"


def stack_experts(tensors):
    out, experts = {}, {}
    for name, a in tensors.items():
        m = re.fullmatch(r"(.*\.mlp\.experts)\.(\d+)\.(\w+\.weight)", name)
        if m:
            experts.setdefault(f"{m[1]}.{m[3]}", {})[int(m[2])] = a
        else:
            out[name] = a
    return out | {n: np.stack([e[i] for i in range(len(e))]) for n, e in experts.items()}


def split_kv_b(name, a, config):
    heads, nope, v = (config[k] for k in ("num_attention_heads", "qk_nope_head_dim", "v_head_dim"))
    a = a.reshape(heads, nope + v, -1)
    layer = name.split(".")[2]
    return {f"blk.{layer}.attn_k_b.weight": a[:, :nope].swapaxes(1, 2),
            f"blk.{layer}.attn_v_b.weight": a[:, nope:]}


def add_mla(w, c, fused):
    latent, rope = c["kv_lora_rank"], c["qk_rope_head_dim"]
    true_key = c["qk_nope_head_dim"] + rope
    if c["q_lora_rank"]:
        w.add_q_lora_rank(c["q_lora_rank"])
    w.add_kv_lora_rank(latent)
    w.add_rope_dimension_count(rope)
    if fused:
        w.add_head_count_kv(c["num_attention_heads"])
        w.add_key_length(true_key)
        w.add_value_length(c["v_head_dim"])
    else:
        w.add_head_count_kv(1)
        w.add_key_length(latent + rope)
        w.add_value_length(latent)
        w.add_key_length_mla(true_key)
        w.add_value_length_mla(c["v_head_dim"])


def add_yarn(w, rope):
    w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    w.add_rope_scaling_factor(rope["factor"])
    w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    w.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
    w.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])
    w.add_rope_scaling_yarn_log_mul(0.1 * rope["mscale_all_dim"])


def add_routing(w, c, old_v2):
    kind = c["model_type"]
    w.add_expert_count(c.get("n_routed_experts") or c["num_experts"])
    w.add_expert_used_count(c["num_experts_per_tok"])
    w.add_expert_feed_forward_length(c["moe_intermediate_size"])
    if kind == "qwen3_moe":
        return
    w.add_expert_shared_count(c["n_shared_experts"])
    w.add_leading_dense_block_count(c["first_k_dense_replace"])
    w.add_expert_weights_scale(c.get("routed_scaling_factor", 1.0))
    if c["norm_topk_prob"]:
        w.add_expert_weights_norm(True)
    sigmoid = c.get("scoring_func", "sigmoid") == "sigmoid"
    if not old_v2 and kind != "deepseek":
        w.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID if sigmoid
                                 else gguf.ExpertGatingFuncType.SOFTMAX)
        w.add_expert_group_count(c["n_group"])
        w.add_expert_group_used_count(c["topk_group"])


def describable(c):
    rope = c.get("rope_scaling") or {}
    if c["model_type"] == "qwen3_moe":
        return c["norm_topk_prob"] and not c["mlp_only_layers"] and c["decoder_sparse_step"] == 1
    return c.get("torch_dtype") == "float32" and rope.get("mscale") == rope.get("mscale_all_dim")


def convert(folder, path, fused):
    c = json.loads((folder / "config.old.json").read_text())
    arch, layers = ARCHITECTURES[c["model_type"]], c["num_hidden_layers"]
    heads = c["num_attention_heads"]
    tensors = {}
    for f in sorted(folder.glob("*.safetensors")):
        tensors |= {n: to_f32(*t) for n, t in read_safetensors(f).items()}
    tensors = {n: a for n, a in tensors.items()
               if not n.startswith("model.layers.") or int(n.split(".")[2]) < layers}

    w = gguf.GGUFWriter(path, arch)
    w.add_name(folder.name)
    w.add_vocab_size(c["vocab_size"])
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_block_count(layers)
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(heads)
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_file_type(gguf.LlamaFileType.ALL_F32)
    w.add_rope_freq_base(c["rope_theta"])
    if arch == "deepseek2":
        add_mla(w, c, fused)
    else:
        w.add_head_count_kv(c["num_key_value_heads"])
    if arch == "deepseek":
        w.add_rope_dimension_count(c["hidden_size"] // heads)
        w.add_rope_scaling_type(gguf.RopeScalingType.NONE)
    elif arch == "qwen3moe":
        w.add_key_length(c["head_dim"])
        w.add_value_length(c["head_dim"])
    if c.get("rope_scaling"):
        add_yarn(w, c["rope_scaling"])
    add_routing(w, c, fused and c["model_type"] == "deepseek_v2")
    add_tokenizer(w, "llama" if arch == "deepseek" else arch, c["vocab_size"])

    for name, a in stack_experts(tensors).items():
        if arch == "deepseek" and name.endswith(("q_proj.weight", "k_proj.weight")):
            a = permute(a, heads)
        parts = {gguf_name(name): a}
        if name.endswith("kv_b_proj.weight") and not fused:
            parts = split_kv_b(name, a, c)
        for new, part in parts.items():
            w.add_tensor(new, np.ascontiguousarray(part, dtype=np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def convert_all(tiny, out):
    manifest = json.loads((tiny / "manifest.json").read_text())
    for entry in manifest["checkpoints"]:
        folder = tiny / entry["name"]
        config = json.loads((folder / "config.old.json").read_text())
        # deepseek_v3_eps: a GGUF has one epsilon, and the reference two
        if entry["dtype"] != "float32" or not describable(config) or folder.name.endswith("_eps"):
            continue
        convert(folder, out / f"{folder.name}.gguf", False)
        if folder.name in FUSED:
            convert(folder, out / f"{folder.name}.fused.gguf", True)


if __name__ == "__main__":
    run(__doc__, convert_all)
