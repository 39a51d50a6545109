#!/usr/bin/env python3
"""The licences of what is linked into the packaged program.   licences.py OUT [CARGO.LOCK]

Copies, into the folder OUT, the copyright files of the Debian packages whose headers or archives are used, and of each
crate of the lock file that cargo has unpacked. Ends with status 1 when a package is installed without such a file.
"""

import os
import pathlib
import re
import shutil
import sys

DEBIAN = ["libboost1.81-dev", "libboost-dev", "libcli11-dev", "libedit-dev", "libbsd-dev", "libmd-dev", "libncurses-dev", "libre2-dev",
          "libssl-dev", "libstdc++-12-dev"]
NAMES = re.compile(r"(licen[cs]e|copying|notice)", re.IGNORECASE)


def crates(lock):
    for name, version in re.findall(r'\[\[package\]\]\nname = "([^"]+)"\nversion = "([^"]+)"\nsource = "registry', lock.read_text()):
        yield f"{name}-{version}"


def main():
    out = pathlib.Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    missing = []
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
            texts = sorted(file for file in folder.iterdir() if file.is_file() and NAMES.search(file.name))
            # Some name their licence in Cargo.toml alone.
            for file in texts or [folder / "Cargo.toml"]:
                if file.exists():
                    shutil.copyfile(file, out / f"{crate}.{file.name}.txt")
                else:
                    missing.append(crate)
    for name in missing:
        print(f"licences: {name} says nothing of its licence", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
