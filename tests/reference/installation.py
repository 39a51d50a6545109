#!/usr/bin/env python3
"""What an installation puts beside the program, held by the tools that read it: shells, man, systemd, binutils.

    installation.py --minke BINARY [--work FOLDER] [--long]

--long also makes the packages (script/package), checks the program in them, and, as root where debootstrap is installed,
installs, uses, upgrades and removes them in a fresh Debian 12 root. A tool that is not there skips its part by name.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEWEST_GLIBC = (2, 35)  # Ubuntu 22.04's
SUITE = "bookworm"


class Checks:
    def __init__(self, minke, work):
        self.minke, self.work = minke, work
        self.passed = self.failed = 0

    def check(self, what, holds, detail=""):
        self.passed += bool(holds)
        self.failed += not holds
        if not holds:
            print(f"FAILED: {what}: {str(detail)[-2000:]}")

    def run(self, *command, **options):
        options.setdefault("timeout", 60)
        return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)

    def said(self, *command, **options):
        done = self.run(*command, **options)
        self.check(" ".join(str(part) for part in command), done.returncode == 0, done.stderr + done.stdout)
        return done.stdout


def completions(checks, script, line):
    """What bash offers at the end of `line`."""
    words = line.split(" ")
    program = (f'source "$1"; COMP_WORDS=("${{@:3}}"); COMP_CWORD=$(($# - 3)); COMP_LINE=$2; COMP_POINT=${{#COMP_LINE}}; '
               '_minke; printf "%s\\n" "${COMPREPLY[@]}"')
    env = os.environ | {"PATH": f"{checks.minke.parent}:{os.environ['PATH']}", "MINKE_MODELS": str(checks.work / "store")}
    done = checks.run("bash", "-c", program, "-", script, line, *words, env=env, cwd=checks.work)
    return done.stdout.split()


def test_bash(checks):
    script = checks.work / "minke.bash"
    script.write_text(checks.said(checks.minke, "completion", "bash"))
    checks.said("bash", "-n", script)
    shutil.rmtree(checks.work / "store", ignore_errors=True)
    model = checks.work / "store" / "tiny:1b"
    folder = checks.work / "store" / "tiny@1b"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "golden" / "tiny_moe_gguf" / "deepseek_v3.gguf", folder / "tiny.gguf")
    for line, wanted in (("minke ru", ["run"]), ("minke run --numerics ", ["fast", "exact"]),
                         ("minke completion --he", ["--help"]), ("minke run --see", ["--seed"]),
                         ("minke eval ", ["ppl", "logits"]), ("minke serve ti", [model.name]),
                         ("minke serve tiny:1", ["1b"]), ("minke serve --cors-", ["--cors-origins"])):
        offered = completions(checks, script, line)
        checks.check(f"bash offers {wanted} after {line!r}", set(wanted) <= set(offered), offered)
    checks.check("nothing foreign", completions(checks, script, "minke run --numerics f") == ["fast"])


def test_other_shells(checks):
    for shell, parse in (("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])):
        script = checks.work / f"minke.{shell}"
        script.write_text(checks.said(checks.minke, "completion", shell))
        text = script.read_text()
        checks.check(f"{shell} knows the flags", "numerics" in text and "api-key-file" in text)
        if shutil.which(shell):
            checks.said(*parse, script)
        else:
            print(f"{shell} is not installed: its script was not parsed")
    wrong = checks.run(checks.minke, "completion", "tcsh")
    checks.check("another shell is refused", wrong.returncode == 2 and "bash" in wrong.stderr, wrong.stderr)


def test_manual(checks):
    page = checks.work / "minke.1"
    page.write_text(checks.said(checks.minke, "manual"))
    if not shutil.which("groff"):
        print("groff is not installed: the manual was not set")
        return
    done = checks.run("groff", "-man", "-Tutf8", "-ww", "-P-cbou", page)
    checks.check("the manual sets without warnings", done.returncode == 0 and not done.stderr, done.stderr)
    checks.check("each command has its part", all(f"minke {name}" in done.stdout for name in ("run", "serve", "eval ppl", "rm")))
    checks.check("flags stand as they are typed", "--repeat-penalty" in done.stdout and "--api-key-file" in done.stdout)


def test_report(checks):
    env = os.environ | {"MINKE_API_KEY": "s3cret-key", "MINKE_THREADS": "2", "HF_TOKEN": "hf_s3cret"}
    done = checks.run(checks.minke, "doctor", "--report", env=env)
    checks.check("the report", done.returncode == 0 and "### " in done.stdout and "glibc" in done.stdout, done.stderr)
    checks.check("no secret", "s3cret" not in done.stdout and "MINKE_API_KEY=(not shown)" in done.stdout, done.stdout)
    checks.check("settings", "MINKE_THREADS=2" in done.stdout)
    home = os.environ.get("HOME", "")
    checks.check("no home folder", len(home) < 2 or home not in done.stdout, done.stdout)


def test_service(checks):
    unit = ROOT / "packaging" / "minke.service"
    if not shutil.which("systemd-analyze"):
        print("systemd is not installed: the unit was not rated")
    else:
        rated = checks.run("systemd-analyze", "security", "--offline=yes", "--no-pager", unit)
        level = re.search(r"Overall exposure level for minke.service: ([0-9.]+)", rated.stdout)
        checks.check("exposure at OK or better", level and float(level[1]) < 2.0, rated.stdout[-300:] + rated.stderr)
    for script in sorted((ROOT / "packaging" / "debian").glob("p*")):
        checks.said("sh", "-n", script)


def glibc_versions(program):
    table = subprocess.run(["objdump", "-T", str(program)], capture_output=True, text=True, check=True).stdout
    return sorted({tuple(int(part) for part in name.split(".")) for name in re.findall(r"GLIBC_([0-9.]+)", table)})


def test_symbols(checks):
    versions = glibc_versions(checks.minke)
    checks.check("no symbol newer than Ubuntu 22.04's", versions and versions[-1] <= NEWEST_GLIBC, versions)


def test_packages(checks):
    out = checks.work / "packages"
    shutil.rmtree(out, ignore_errors=True)
    checks.said(ROOT / "script" / "package", out, timeout=3600)
    tarball, deb = next(out.glob("*.tar.gz"), None), next(out.glob("*.deb"), None)
    checks.check("both packages", tarball and deb, list(out.iterdir()))
    if not tarball or not deb:
        return
    checks.said("sha256sum", "--check", "--quiet", "SHA256SUMS", cwd=out)
    place = checks.work / "elsewhere"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    checks.said("tar", "-xzf", tarball, "-C", place)
    program = next(place.glob("minke-*/bin/minke"))
    needed = re.findall(r"NEEDED +(\S+)", subprocess.run(["objdump", "-p", program], capture_output=True, text=True).stdout)
    checks.check("needs the C library alone", all(re.match(r"(libc|libm|libpthread|ld-linux.*)\.so", n) for n in needed), needed)
    versions = glibc_versions(program)
    checks.check("no symbol newer than Ubuntu 22.04's in the package", versions[-1] <= NEWEST_GLIBC, versions)
    checks.said(program, "--version")
    checks.check("the manual is there", list(place.glob("minke-*/share/man/man1/minke.1*")))
    names = checks.said("dpkg-deb", "--contents", deb)
    for name in ("/usr/bin/minke", "/usr/lib/systemd/system/minke.service", "/etc/minke/minke.conf",
                 "/usr/share/bash-completion/completions/minke"):
        checks.check(f"{name} is packed", f".{name}\n" in names or f".{name} " in names, names)
    if os.geteuid() == 0 and shutil.which("debootstrap"):
        in_debian(checks, tarball, deb)
    else:
        print("no root or no debootstrap: the packages were not installed")


ANSWER = """
set -e
model=/tiny.gguf
{run} run $model --raw Hi -n 4 --temp 0 </dev/null
{run} serve $model --port 7465 --quiet &
for try in $(seq 50); do
  if exec 3<>/dev/tcp/127.0.0.1/7465; then break; fi 2>/dev/null
  sleep 0.1
done
printf 'GET /health HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nConnection: close\\r\\n\\r\\n' >&3
head -1 <&3
kill $!
wait $!
"""


def in_debian(checks, tarball, deb):
    """A Debian 12 root as debootstrap makes it: install, use, upgrade, remove, purge."""
    root = checks.work / "debian"
    if not (root / "etc" / "debian_version").exists():
        shutil.rmtree(root, ignore_errors=True)
        checks.said("debootstrap", "--variant=minbase", "--include=adduser", SUITE, root, timeout=1800)
    shutil.copy(ROOT / "tests" / "golden" / "tiny_moe_gguf" / "deepseek_v3.gguf", root / "tiny.gguf")
    shutil.copy(deb, root / "minke.deb")
    inside = lambda script: checks.said("chroot", root, "bash", "-c", script, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"})
    answers = lambda run, how: checks.check(how, "200 OK" in inside(ANSWER.format(run=run)))
    shutil.rmtree(root / "opt" / "minke", ignore_errors=True)
    (root / "opt" / "minke").mkdir(parents=True)
    checks.said("tar", "-xzf", tarball, "-C", root / "opt" / "minke", "--strip-components=1")
    answers("/opt/minke/bin/minke", "the tarball's program serves")
    inside("dpkg -i /minke.deb && getent passwd minke && test -d /var/lib/minke")
    answers("minke", "the package's program serves")
    inside("echo MINKE_SERVE=mine > /etc/minke/minke.conf && dpkg -i --force-confold /minke.deb && grep -q mine /etc/minke/minke.conf")
    inside("dpkg -r minke && ! command -v minke && test -e /etc/minke/minke.conf && test -d /var/lib/minke")
    inside("dpkg -P minke && test ! -e /etc/minke && test ! -e /var/lib/minke")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minke", required=True, type=pathlib.Path)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--long", action="store_true")
    arguments = parser.parse_args()
    work = arguments.work.resolve() / "installation"
    work.mkdir(parents=True, exist_ok=True)
    checks = Checks(arguments.minke.resolve(), work)
    for test in (test_bash, test_other_shells, test_manual, test_report, test_service, test_symbols):
        test(checks)
    if arguments.long:
        test_packages(checks)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
