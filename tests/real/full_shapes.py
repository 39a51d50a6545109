"""Full-size shapes with random weights (`minke gen`), which no published checkpoint is small enough to be.

  layer    one layer of DeepSeek-V3 (256 experts) and of GLM-4.7-Flash at full size, FP8 and Q4_K: logits of
           `eval logits --numerics exact` beside the reference's (tests/golden/full, made by
           tests/golden/make/full_shapes.py), within 2e-4 of the largest |logit|. The files' SHA-256 is the one that the
           reference was computed from: the generator gives the same bytes everywhere
  memory   V2-Lite at Q4_K_M: the largest resident size of a run within what `minke show` says it needs

usage: full_shapes.py --minke BINARY --work FOLDER [--long]
Without --long: GLM-4.7-Flash's layer and three layers of V2-Lite (4 GB of disk, 2 of memory). With it all of them (13 GB
of disk, 14 of memory, one at a time); what the machine has no room for is SKIPPED. Needs nothing but Python.
"""

import argparse
import array
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
GOLDEN = os.path.join(ROOT, "tests", "golden", "full")
SHAPES = os.path.join(ROOT, "data", "shapes")
TOLERANCE = 2e-4
# Embedding and output of 512 rows: the layer is what is looked at. Ids in no order, some twice.
VOCABULARY = 512
IDS = [7, 301, 44, 511, 0, 128, 44, 363, 92, 255, 17, 480, 7, 199, 310, 66]
# A program's own pages, the C++ library, thread stacks, and one tensor of the file that is being packed are no part of
# the estimate; measured 9 to 30 MB, and the largest stacked tensor's pages while they are read.
BESIDES = 150e6
# name: shape, type, gigabytes of disk and of memory, only with --long
CASES = {
    "glm-4.7-flash-fp8": ("glm-4.7-flash", "fp8", 1, 2, False),
    "glm-4.7-flash-q4_k": ("glm-4.7-flash", "q4_k", 1, 2, False),
    "deepseek-v3-q4_k": ("deepseek-v3", "q4_k", 8, 9, True),
    "deepseek-v3-fp8": ("deepseek-v3", "fp8", 13, 14, True),
}


def one_layer(shape):
    """A published configuration, of which one layer with experts is left."""
    with open(os.path.join(SHAPES, shape + ".json"), encoding="utf-8") as file:
        config = json.load(file)
    return config | {"num_hidden_layers": 1, "first_k_dense_replace": 0, "num_nextn_predict_layers": 0,
                     "mlp_layer_types": ["sparse"], "vocab_size": VOCABULARY}


def generate(minke, config, kind, folder):
    """Writes the checkpoint; returns its path."""
    source = os.path.join(folder, "source.json")
    with open(source, "w", encoding="utf-8") as file:
        json.dump(config, file)
    out = os.path.join(folder, "model" if kind in ("fp8", "bf16") else "model.gguf")
    subprocess.run([minke, "gen", source, "-o", out, "--type", kind], check=True, stderr=subprocess.DEVNULL)
    return out


def digest(path):
    """SHA-256 over the weights, file after file."""
    names = [path] if os.path.isfile(path) else sorted(
        os.path.join(path, n) for n in os.listdir(path) if n.endswith(".safetensors"))
    total = hashlib.sha256()
    for name in names:
        with open(name, "rb") as file:
            while block := file.read(1 << 22):
                total.update(block)
    return total.hexdigest()


def floats(path):
    values = array.array("f")
    with open(path, "rb") as file:
        values.frombytes(file.read())
    return values


class Checks:
    def __init__(self, args):
        self.args = args
        self.passed = self.failed = self.skipped = 0

    def report(self, name, ok, detail):
        self.passed += ok
        self.failed += not ok
        print(f"{'ok' if ok else 'FAILED'} {name}: {detail}", flush=True)

    def skip(self, name, why):
        self.skipped += 1
        print(f"SKIPPED {name}: {why}", flush=True)

    def room(self, name, disk, memory):
        """Whether there are so many gigabytes; says it when not."""
        free = shutil.disk_usage(self.args.work).free / 1e9
        with open("/proc/meminfo", encoding="ascii") as file:
            available = next(int(line.split()[1]) * 1024 / 1e9 for line in file if line.startswith("MemAvailable"))
        if free < disk or available < memory:
            self.skip(name, f"needs {disk} GB of disk and {memory} of memory, there are {free:.0f} and {available:.0f}")
            return False
        return True


def run_measured(command):
    """Status, largest resident size in bytes, standard error."""
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        stderr.seek(0)
        return process.returncode, usage.ru_maxrss * 1024, stderr.read().decode(errors="replace")


def check_layer(checks, name):
    shape, kind, disk, memory, _ = CASES[name]
    if not checks.room(name, disk, memory):
        return
    with open(os.path.join(GOLDEN, "manifest.json"), encoding="utf-8") as file:
        golden = json.load(file)["cases"][name]
    expected = floats(os.path.join(GOLDEN, name + ".f32"))
    with tempfile.TemporaryDirectory(dir=checks.args.work) as folder:
        path = generate(checks.args.minke, one_layer(shape), kind, folder)
        checks.report(f"{name} file", digest(path) == golden["sha256"], "the bytes that the reference was computed from")
        out = os.path.join(folder, "logits.f32")
        status, resident, stderr = run_measured([checks.args.minke, "eval", "logits", path, "--ids",
                                                 ",".join(map(str, IDS)), "-o", out])
        if status != 0:
            checks.report(name, False, stderr[-300:])
            return
        got = floats(out)
    largest = max(map(abs, expected))
    worst = max((abs(a - b) for a, b in zip(got, expected)), default=float("inf"))
    checks.report(name, len(got) == len(expected) and worst <= TOLERANCE * largest,
                  f"largest difference {worst:.2e} of logits up to {largest:.3f}, {worst / largest:.1e} of it (limit "
                  f"{TOLERANCE}); {resident / 1e9:.2f} GB resident")


def check_memory(checks, layers):
    name = f"v2-lite memory{'' if layers is None else f', {layers} layers'}"
    if not checks.room(name, 12 if layers is None else 2, 13 if layers is None else 3):
        return
    with tempfile.TemporaryDirectory(dir=checks.args.work) as folder:
        path = os.path.join(folder, "v2-lite.gguf")
        few = [] if layers is None else ["--layers", str(layers)]
        subprocess.run([checks.args.minke, "gen", os.path.join(SHAPES, "deepseek-v2-lite.json"), "-o", path, *few],
                       check=True, stderr=subprocess.DEVNULL)
        report = json.loads(subprocess.run([checks.args.minke, "show", path, "--json"], check=True,
                                           stdout=subprocess.PIPE).stdout)
        context = report["memory"][0]["context"]
        # The cache of the 600 positions that are run, not of the 4,096 that show says first.
        positions = 600
        blocks = -(-positions // 64) * 64
        estimate = report["memory"][0]["bytes"] - (context - blocks) * report["kv_bytes_per_token"]
        ids = ",".join(str(37 * i % 100000) for i in range(positions))
        status, resident, stderr = run_measured([checks.args.minke, "eval", "logits", path, "--numerics", "fast", "--ids",
                                                 ids, "-o", "/dev/null"])
        checks.report(name, status == 0 and resident <= estimate + BESIDES,
                      f"{resident / 1e9:.3f} GB resident, {estimate / 1e9:.3f} GB estimated, of which weights "
                      f"{report['weight_bytes'] / 1e9:.3f}; {stderr[-200:] if status else ''}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minke", required=True, type=os.path.abspath)
    parser.add_argument("--work", required=True)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", default="", help="checks whose name contains this")
    args = parser.parse_args()
    os.makedirs(args.work, exist_ok=True)
    checks = Checks(args)
    for name, case in CASES.items():
        if args.only in name and (args.long or not case[4]):
            check_layer(checks, name)
    if args.only in "v2-lite memory":
        check_memory(checks, None if args.long else 3)
    print(f"{checks.passed} passed, {checks.failed} failed, {checks.skipped} skipped")
    return 1 if checks.failed or not checks.passed else 0


if __name__ == "__main__":
    sys.exit(main())
