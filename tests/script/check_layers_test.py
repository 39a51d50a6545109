"""script/check-layers finds what it should, and only that."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
CHECK = os.path.join(os.path.dirname(os.path.dirname(HERE)), "script", "check-layers")

sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import summary  # noqa: E402

GOOD = [
    ("base/a.h", '#include <vector>\n#include <sys/stat.h>\n#include "base/b.h"'),
    ("text/a.cc", '#include "formats/a.h"\n#include <boost/json/parse.hpp>'),
    ("kernels/isa/avx2.cc", "#include <immintrin.h>"),
    ("cli/a.cc", '#include <CLI/CLI.hpp>\n#include "hub/a.h"\nint a() { std::cout << getenv("HOME"); exit(1); }'),
    ("models/a.cc", '// never calls exit() or abort()\nconst char* a = "printf(";\nint b = engine.exit(1);'),
    ("formats/a.cc", "int n = snprintf(buffer, 3, x);"),
    ("api/a.cc", '#include "engine/reply.h"\n#include "text/chat.h"'),
    ("server/a.cc", '#include "api/service.h"'),
    ("server/http_server.cc", "#include <boost/asio/io_context.hpp>"),
]
BAD = [
    ("base/a.h", '#include "formats/a.h"'),
    ("hub/a.h", '#include "text/a.h"'),
    ("hub/a.cc", "#include <openssl/ssl.h>"),
    ("text/a.h", '#include "kernels/a.h"'),
    ("engine/a.h", '#include "cli/a.h"'),
    ("models/a.h", "#include <boost/asio.hpp>"),
    ("engine/a.h", "#include <fmt/core.h>"),
    ("base/a.h", '#include "vendor/a.h"'),
    ("kernels/a.h", "#include <immintrin.h>"),
    ("engine/a.cc", 'auto* a = std::getenv("A");'),
    ("engine/a.cc", "std::cerr << 1;"),
    ("engine/a.cc", 'std::printf("a");'),
    ("engine/a.cc", 'fprintf(stderr, "a");'),
    ("engine/a.cc", "std::abort();"),
    ("engine/a.cc", "if (x) exit(1);"),
    ("other/a.cc", "int a;"),
    ("engine/a.h", '#include "api/service.h"'),
    ("api/a.h", '#include "server/http.h"'),
    ("server/a.h", '#include "cli/output.h"'),
    ("server/app.cc", "#include <boost/asio/io_context.hpp>"),
    ("api/a.h", "#include <boost/beast/http.hpp>"),
]


def check(path, text):
    with tempfile.TemporaryDirectory() as base:
        file = os.path.join(base, "src", path)
        os.makedirs(os.path.dirname(file))
        with open(file, "w", encoding="utf-8") as out:
            out.write(text + "\n")
        return subprocess.run([sys.executable, CHECK, os.path.join(base, "src")], capture_output=True, text=True, check=False)


class CheckLayersTest(unittest.TestCase):
    def test_good(self):
        for path, text in GOOD:
            result = check(path, text)
            self.assertEqual(result.returncode, 0, f"{text}\n{result.stdout}")

    def test_bad(self):
        for path, text in BAD:
            result = check(path, text)
            self.assertEqual(result.returncode, 1, f"{path}: {text}\n{result.stdout}")
            self.assertIn("src/" + path.split("/")[0], result.stdout)


if __name__ == "__main__":
    summary.run("__main__")
