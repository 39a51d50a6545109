#!/usr/bin/env python3
"""Makes tests/golden/full/: logits of one full-size layer, from the files that `minke gen` writes.

What: NAME.f32, little-endian fp32 [16][512], for each case of tests/real/full_shapes.py, and
manifest.json: {"versions":{..}, "cases":{NAME:{"sha256" of the weights, "max_abs"}}}.

The reference is official_moe.py in fp32 on the dequantised weights; tensors are read and
dequantised one by one as they are asked for, so that no more than an expert is held at a time.
Dequantised by: torch's float8_e4m3fn times the scale of the block; gguf.quants.dequantize.

Made with: Python 3.11, torch 2.15, gguf 0.19.0, numpy 2.4. Needs 13 GB of disk in WORK.

Run:  python full_shapes.py MINKE OUT_DIR WORK [NAME...]
      python full_shapes.py ../../../build/release/minke ../full /tmp/full
"""

import argparse
import json
import re
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
import torch

from official_moe import logits

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "real"))
import full_shapes as test  # noqa: E402


class Safetensors:
    """Tensors of a folder by name, FP8 ones dequantised."""
    KINDS = {"F32": torch.float32, "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn}

    def __init__(self, folder):
        self.places = {}
        for path in Path(folder).glob("*.safetensors"):
            data = np.memmap(path, np.uint8, "c")
            length = int.from_bytes(data[:8].tobytes(), "little")
            for name, entry in json.loads(data[8:8 + length].tobytes()).items():
                if name != "__metadata__":
                    self.places[name] = (data[8 + length:], entry)

    def __contains__(self, name):
        return name in self.places

    def raw(self, name):
        data, entry = self.places[name]
        begin, end = entry["data_offsets"]
        values = torch.frombuffer(bytearray(data[begin:end].tobytes()), dtype=self.KINDS[entry["dtype"]])
        return values.view(entry["shape"]).float()

    def __getitem__(self, name):
        values = self.raw(name)
        if name + "_scale_inv" in self:
            scales = self.raw(name + "_scale_inv")
            scales = scales.repeat_interleave(128, 0)[:values.shape[0]].repeat_interleave(128, 1)[:, :values.shape[1]]
            values *= scales
        return values


class Gguf:
    """Tensors of a GGUF under the published names."""
    NAMES = {"self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm",
             "self_attn.q_b_proj": "attn_q_b", "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
             "self_attn.kv_a_layernorm": "attn_kv_a_norm", "self_attn.o_proj": "attn_output",
             "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate": "ffn_gate_inp",
             "mlp.shared_experts.gate_proj": "ffn_gate_shexp", "mlp.shared_experts.up_proj": "ffn_up_shexp",
             "mlp.shared_experts.down_proj": "ffn_down_shexp"}
    OUTER = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight"}

    def __init__(self, path):
        self.tensors = {t.name: t for t in gguf.GGUFReader(path).tensors}

    def read(self, name, index=None):
        tensor = self.tensors[name]
        data = tensor.data if index is None else tensor.data[index]
        return torch.from_numpy(np.array(gguf.quants.dequantize(data, tensor.tensor_type), np.float32))

    def __contains__(self, name):
        return not name.endswith("e_score_correction_bias") or "blk.0.exp_probs_b.bias" in self.tensors

    def __getitem__(self, name):
        if name in self.OUTER:
            return self.read(self.OUTER[name])
        layer, rest = re.fullmatch(r"model\.layers\.(\d+)\.(.*)", name).groups()
        if rest.endswith("e_score_correction_bias"):
            return self.read(f"blk.{layer}.exp_probs_b.bias")
        if rest == "self_attn.kv_b_proj.weight":
            k = self.read(f"blk.{layer}.attn_k_b.weight").transpose(1, 2)  # [heads][nope][rank]
            v = self.read(f"blk.{layer}.attn_v_b.weight")
            return torch.cat((k, v), 1).flatten(0, 1)
        if expert := re.fullmatch(r"mlp\.experts\.(\d+)\.(\w+)_proj\.weight", rest):
            return self.read(f"blk.{layer}.ffn_{expert[2]}_exps.weight", int(expert[1]))
        return self.read(f"blk.{layer}.{self.NAMES[rest.removesuffix('.weight')]}.weight")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("minke")
    ap.add_argument("out", type=Path)
    ap.add_argument("work", type=Path)
    ap.add_argument("names", nargs="*")
    args = ap.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    args.work.mkdir(parents=True, exist_ok=True)
    manifest = args.out / "manifest.json"
    cases = json.loads(manifest.read_text())["cases"] if manifest.exists() else {}
    for name in args.names or test.CASES:
        shape, kind, *_ = test.CASES[name]
        config = test.one_layer(shape)
        with tempfile.TemporaryDirectory(dir=args.work) as folder, torch.no_grad():
            path = test.generate(args.minke, config, kind, folder)
            tensors = Gguf(path) if path.endswith(".gguf") else Safetensors(path)
            seen = []
            values = logits(config, tensors, test.IDS, seen=seen).numpy().astype("<f4")
            cases[name] = {"sha256": test.digest(path), "max_abs": float(np.abs(values).max())}
        values.tofile(args.out / f"{name}.f32")
        print(name, values.shape, cases[name], "experts taken:", len(seen[0][2].unique()), flush=True)
        manifest.write_text(json.dumps({"versions": {"torch": torch.__version__, "gguf": version("gguf")},
                                        "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
