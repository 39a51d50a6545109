#!/usr/bin/env python3
"""Holds the types that `minke gen` gives each tensor of a GGUF beside llama.cpp's quantiser. Makes nothing.

For shapes of several architectures (small, but with llama.cpp's own number of layers where it insists) and
every mixture: an F32 GGUF by `minke gen`, quantised by llama.cpp; `minke gen` in that type; same names, same
types.

Made with: llama-cpp-python 0.3.36, gguf 0.19.0.

Run:  python check_recipes.py MINKE
"""

import argparse
import ctypes
import json
import subprocess
import tempfile
from pathlib import Path

import gguf
import llama_cpp as lc

SHAPES = Path(__file__).resolve().parents[3] / "data" / "shapes"
FILE_TYPES = {"q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9, "q2_k": 10, "q3_k_s": 11, "q3_k_m": 12,
              "q3_k_l": 13, "q4_k_s": 14, "q4_k_m": 15, "q5_k_s": 16, "q5_k_m": 17, "q6_k": 18, "iq4_nl": 25,
              "iq4_xs": 30}
SMALL = dict(hidden_size=512, vocab_size=512, num_attention_heads=8)
CASES = {
    "llama": ("deepseek-r1-distill-llama-8b", SMALL | dict(intermediate_size=864, num_key_value_heads=2,
                                                           num_hidden_layers=16)),
    "llama of 80 layers": ("deepseek-r1-distill-llama-8b",
                           dict(hidden_size=256, vocab_size=512, num_attention_heads=8, intermediate_size=256,
                                num_key_value_heads=1, num_hidden_layers=80)),
    "qwen2, tied": ("deepseek-r1-distill-qwen-1.5b",
                    SMALL | dict(intermediate_size=1024, num_key_value_heads=4, num_hidden_layers=13,
                                 tie_word_embeddings=True)),
    "qwen2, narrow": ("deepseek-r1-distill-qwen-1.5b",
                      dict(hidden_size=864, num_attention_heads=9, num_key_value_heads=3, vocab_size=512,
                           intermediate_size=1024, num_hidden_layers=8)),
    "deepseek_v2": ("deepseek-v2-lite", SMALL | dict(num_key_value_heads=8, intermediate_size=864,
                                                     moe_intermediate_size=352, n_routed_experts=4,
                                                     num_experts_per_tok=2)),
    "deepseek_v3, 8 experts": ("deepseek-v3", SMALL | dict(num_key_value_heads=8, intermediate_size=768,
                                                           moe_intermediate_size=256, num_hidden_layers=9,
                                                           n_routed_experts=8, num_experts_per_tok=2, n_group=1,
                                                           topk_group=1, q_lora_rank=320,
                                                           num_nextn_predict_layers=0)),
    "qwen3_moe": ("qwen3-30b-a3b", SMALL | dict(num_key_value_heads=2, intermediate_size=768,
                                                moe_intermediate_size=256, num_hidden_layers=9, num_experts=4,
                                                num_experts_per_tok=2)),
}


def types(path):
    return {t.name: t.tensor_type.name for t in gguf.GGUFReader(path).tensors}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("minke")
    args = ap.parse_args()
    callback = lc.llama_log_callback(lambda level, text, data: None)
    lc.llama_log_set(callback, ctypes.c_void_p(0))
    tensors = differ = 0

    def gen(config, out, kind):
        out.unlink(missing_ok=True)
        subprocess.run([args.minke, "gen", config, "-o", out, "--type", kind], check=True,
                       stderr=subprocess.DEVNULL)
        return out

    with tempfile.TemporaryDirectory() as folder:
        config, plain, theirs, ours = (Path(folder) / n for n in ("config.json", "f32.gguf", "theirs.gguf",
                                                                  "ours.gguf"))
        for name, (shape, changes) in CASES.items():
            merged = json.loads((SHAPES / f"{shape}.json").read_text()) | changes
            merged.pop("quantization_config", None)
            config.write_text(json.dumps(merged))
            gen(config, plain, "f32")
            for kind, number in FILE_TYPES.items():
                params = lc.llama_model_quantize_default_params()
                params.ftype = number
                theirs.unlink(missing_ok=True)
                assert lc.llama_model_quantize(str(plain).encode(), str(theirs).encode(), ctypes.byref(params)) == 0
                a, b = types(theirs), types(gen(config, ours, kind))
                wrong = [(n, a.get(n), b.get(n)) for n in sorted(a | b) if a.get(n) != b.get(n)]
                tensors, differ = tensors + len(a), differ + len(wrong)
                for line in wrong:
                    print(name, kind, *line)
    print(f"{tensors} tensors, {differ} differ")


if __name__ == "__main__":
    main()
