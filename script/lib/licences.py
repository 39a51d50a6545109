#!/usr/bin/env python3
"""The licences of what is linked into the packaged program.   licences.py OUT [CARGO.LOCK]

Copies, into the folder OUT, the copyright files of the Debian packages whose headers or archives are used, and, with a lock
file, those of each crate in it that cargo has unpacked and of Rust's standard library. Ends with status 1 when one of
these has no such file.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

DEBIAN = ["libboost1.81-dev", "libboost-dev", "libcli11-dev", "libedit-dev", "libbsd-dev", "libmd-dev", "libncurses-dev", "libre2-dev",
          "libssl-dev", "libstdc++-12-dev"]
NAMES = re.compile(r"(licen[cs]e|copying|notice)", re.IGNORECASE)


def crates(lock):
    for name, version in re.findall(r'\[\[package\]\]\nname = "([^"]+)"\nversion = "([^"]+)"\nsource = "registry', lock.read_text()):
        yield f"{name}-{version}"


def rust_library():
    """What the compiler comes with, or its Debian packages, says of the standard library's licences."""
    program = shutil.which("rustc", path=f"{pathlib.Path.home()}/.cargo/bin:{os.environ['PATH']}")
    if program is None:
        return []
    root = pathlib.Path(subprocess.run([program, "--print", "sysroot"], capture_output=True, text=True, check=True).stdout.strip())
    own = [root / "share" / "doc" / "rust" / name for name in ("COPYRIGHT-library.html", "COPYRIGHT")]
    debian = [pathlib.Path("/usr/share/doc") / name / "copyright" for name in ("libstd-rust-web-dev", "libstd-rust-dev")]
    return [file for file in own + debian if file.exists()][:1]


def main():
    out = pathlib.Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    missing, crates_used = [], False
    for package in DEBIAN:
        file = pathlib.Path("/usr/share/doc") / package / "copyright"
        if file.exists():
            shutil.copyfile(file, out / f"{package}.txt")
    if len(sys.argv) > 2:
        home = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
        for crate in crates(pathlib.Path(sys.argv[2])):
            folder = next(iter(home.glob(f"registry/src/*/{crate}")), None)
            if folder is None:
                continue  # of another system: cargo did not need it
            crates_used = True
            texts = sorted(file for file in folder.iterdir() if file.is_file() and NAMES.search(file.name))
            # Some name their licence in Cargo.toml alone.
            for file in texts or [folder / "Cargo.toml"]:
                if file.exists():
                    shutil.copyfile(file, out / f"{crate}.{file.name}.txt")
                else:
                    missing.append(crate)
    if crates_used:
        texts = rust_library()
        missing += [] if texts else ["Rust's standard library"]
        for file in texts:
            shutil.copyfile(file, out / f"rust-library.{file.name}")
    for name in missing:
        print(f"licences: {name} says nothing of its licence", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
