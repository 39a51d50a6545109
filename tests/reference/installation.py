#!/usr/bin/env python3
"""What an installation puts beside the program, held by the tools that read it: shells, man, systemd, binutils.

    installation.py --minke BINARY [--work FOLDER] [--long]

--long also makes the packages (script/package), checks the program in them, and, as root where debootstrap is installed,
installs, uses, upgrades and removes them in a fresh Debian 12 root; then those for 64-bit Arm, whose program runs under an
emulator. A tool that is not there skips its part by name.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEWEST_GLIBC = (2, 35)  # Ubuntu 22.04's
SUITE = "bookworm"
MODEL = ROOT / "tests" / "golden" / "tiny_moe_gguf" / "deepseek_v3.gguf"


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
    shutil.copy(MODEL, folder / "tiny.gguf")
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


def glibc_versions(program, objdump="objdump"):
    table = subprocess.run([objdump, "-T", str(program)], capture_output=True, text=True, check=True).stdout
    return sorted({tuple(int(part) for part in name.split(".")) for name in re.findall(r"GLIBC_([0-9.]+)", table)})


def test_symbols(checks):
    versions = glibc_versions(checks.minke)
    checks.check("no symbol newer than Ubuntu 22.04's", versions and versions[-1] <= NEWEST_GLIBC, versions)


class Server:
    """`minke serve` of a model on a free port, by a command that may be an emulator's."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen([str(part) for part in command], env=env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.text, self.url = "", None
        for line in self.process.stderr:  # ends with the process
            self.text += line
            if match := re.search(r"is served at (http://[0-9.:]+)/v1", line):
                self.url = match[1]
                break
        # What else it says must not fill the pipe.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=300) as response:
                return response.read().decode()
        except OSError as error:
            return f"{error}"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def uses(checks, how, run, model, env=None):
    """Version, report, a reply, a reply within a grammar, a server that answers and ends when told to. `run` is the program,
    with an emulator before it or not; `model` as it sees it."""
    go = lambda *arguments: checks.run(*run, *arguments, env=env, timeout=600)
    holds = lambda what, good, done: checks.check(f"{how}: {what}", good, f"status {done.returncode}: {done.stdout}{done.stderr}")
    version = go("--version")
    holds("version", version.returncode == 0 and "constrained output: " in version.stdout, version)
    doctor = go("doctor", "--report")
    holds("doctor", doctor.returncode == 0 and "glibc" in doctor.stdout, doctor)
    reply = go("run", model, "--raw", "Hi", "-n", "4", "--temp", "0", "--json")
    holds("run", reply.returncode == 0 and '"' in reply.stdout, reply)
    chosen = go("run", model, "--raw", "Hi", "--choice", "aaaa")
    if "not in this build" in version.stdout:
        holds("a choice is refused", chosen.returncode == 1 and "not part of this build" in chosen.stderr, chosen)
    else:
        holds("a choice", chosen.returncode == 0 and chosen.stdout.strip() == "aaaa", chosen)
    server = Server([*run, "serve", model, "--port", "0", "--alias", "tiny"], env)
    if server.url is None:
        checks.check(f"{how}: serves", False, server.text)
        return
    checks.check(f"{how}: health", '"status"' in server.ask("/health"))
    body = {"model": "tiny", "prompt": "Hi", "max_tokens": 4, "temperature": 0}
    answer = server.ask("/v1/completions", body)
    checks.check(f"{how}: an answer", '"completion_tokens":4' in answer.replace(" ", ""), answer)
    status = server.stop()
    checks.check(f"{how}: ends when told to", status == 0, status)


def make_packages(checks, name, *flags):
    """script/package: the tarball and the Debian package, or None for what is not there."""
    out = checks.work / name
    shutil.rmtree(out, ignore_errors=True)
    checks.said(ROOT / "script" / "package", *flags, out, timeout=7200)
    tarball, deb = next(out.glob("*.tar.gz"), None), next(out.glob("*.deb"), None)
    checks.check(f"{name}: both", tarball and deb, list(out.iterdir()))
    checks.said("sha256sum", "--check", "--quiet", "SHA256SUMS", cwd=out)
    return tarball, deb


def check_tarball(checks, tarball, place, objdump="objdump"):
    """What is in it, and what its program needs of the system; the program."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    checks.said("tar", "-xzf", tarball, "-C", place)
    program = next(place.glob("minke-*/bin/minke"))
    needed = re.findall(r"NEEDED +(\S+)", checks.said(objdump, "-p", program))
    checks.check(f"{tarball.name} needs the C library alone",
                 needed and all(re.match(r"(libc|libm|libpthread|ld-linux.*)\.so", n) for n in needed), needed)
    versions = glibc_versions(program, objdump)
    checks.check(f"{tarball.name}: no symbol newer than Ubuntu 22.04's", versions and versions[-1] <= NEWEST_GLIBC, versions)
    for name in ("share/man/man1/minke.1*", "share/doc/minke/licences/rust-library.*", "share/doc/minke/licences/libssl-dev.txt",
                 "share/doc/minke/licences/llguidance-*"):
        checks.check(f"{tarball.name}: {name}", list(place.glob(f"minke-*/{name}")))
    return program


def check_deb(checks, deb, architecture):
    field = checks.said("dpkg-deb", "--field", deb, "Architecture").strip()
    checks.check(f"{deb.name}: for {architecture}", field == architecture, field)
    names = checks.said("dpkg-deb", "--contents", deb)
    for name in ("/usr/bin/minke", "/usr/lib/systemd/system/minke.service", "/etc/minke/minke.conf",
                 "/usr/share/bash-completion/completions/minke"):
        checks.check(f"{name} is packed", f".{name}\n" in names or f".{name} " in names, names)


def test_packages(checks):
    tarball, deb = make_packages(checks, "packages")
    if not tarball or not deb:
        return
    program = check_tarball(checks, tarball, checks.work / "elsewhere")
    check_deb(checks, deb, checks.said("dpkg", "--print-architecture").strip())
    uses(checks, "the tarball's program", [program], MODEL)
    if os.geteuid() == 0 and shutil.which("debootstrap"):
        in_debian(checks, tarball, deb)
    else:
        print("no root or no debootstrap: the packages were not installed")


def test_arm_packages(checks):
    """Those for 64-bit Arm, cross-built; their program under emulation."""
    if platform.machine() == "aarch64":
        return  # test_packages made them
    if checks.run(ROOT / "script" / "bootstrap", "package-arm64", timeout=1800).returncode:
        print("no compiler for 64-bit Arm, or no emulator: its packages were not made")
        return
    tarball, deb = make_packages(checks, "packages-arm64", "--arm64")
    if not tarball or not deb:
        return
    program = check_tarball(checks, tarball, checks.work / "elsewhere-arm64", "aarch64-linux-gnu-objdump")
    check_deb(checks, deb, "arm64")
    uses(checks, "the program for Arm", ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", program], MODEL)


def in_debian(checks, tarball, deb):
    """A Debian 12 root as debootstrap makes it: install, use, upgrade, remove, purge."""
    root = checks.work / "debian"
    if not (root / "etc" / "debian_version").exists():
        shutil.rmtree(root, ignore_errors=True)
        checks.said("debootstrap", "--variant=minbase", "--include=adduser", SUITE, root, timeout=1800)
    shutil.copy(MODEL, root / "tiny.gguf")
    shutil.copy(deb, root / "minke.deb")
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
    inside = lambda script: checks.said("chroot", root, "bash", "-c", script, env=env)
    shutil.rmtree(root / "opt" / "minke", ignore_errors=True)
    (root / "opt" / "minke").mkdir(parents=True)
    checks.said("tar", "-xzf", tarball, "-C", root / "opt" / "minke", "--strip-components=1")
    uses(checks, "the tarball's program in Debian", ["chroot", root, "/opt/minke/bin/minke"], "/tiny.gguf", env)
    inside("dpkg -i /minke.deb && getent passwd minke && test -d /var/lib/minke")
    uses(checks, "the package's program", ["chroot", root, "minke"], "/tiny.gguf", env)
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
        test_arm_packages(checks)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
