"""script/lib/runner.sh counts results as it says, and script/bootstrap chooses the right way to install."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

sys.dont_write_bytecode = True
sys.path.insert(0, HERE)

import summary  # noqa: E402


def run_items(body):
    """Runs a stage with `body`; returns (exit status, output)."""
    with tempfile.TemporaryDirectory() as logs:
        program = f"""
            set -euo pipefail
            source "{ROOT}/script/lib/common.sh"; source "{ROOT}/script/lib/runner.sh"
            LOGS={logs}
            stage_x() {{ {body}
            }}
            run_stage x
            sum_up"""
        result = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=False, timeout=60)
        return result.returncode, result.stderr + result.stdout


def sleepers():
    """How many `sleep 1234.5` are alive."""
    count = 0
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{process}/cmdline", "rb") as file:
                count += file.read() == b"sleep\x001234.5\x00"
        except OSError:
            pass
    return count


class RunnerTest(unittest.TestCase):
    def last_line(self, body):
        status, out = run_items(body)
        return status, out.strip().splitlines()[-1]

    def test_exit_status_counts_as_one_test(self):
        self.assertEqual(self.last_line("item a true; item b false || true; item c true"), (1, "2 passed, 1 failed"))

    def test_a_failed_item_does_not_stop_the_stage(self):
        self.assertEqual(self.last_line("item a false; item b true"), (1, "1 passed, 1 failed"))

    def test_summary_lines_are_added(self):
        self.assertEqual(self.last_line("item a echo '12 passed, 0 failed'; item b echo '3 passed, 0 failed, 4 skipped'"),
                         (0, "15 passed, 0 failed"))

    def test_googletest_totals_are_added(self):
        self.assertEqual(self.last_line(r"item a printf '[  PASSED  ] 7 tests.\n[  FAILED  ] 2 tests, listed below:\n'"),
                         (1, "7 passed, 2 failed"))

    def test_a_crash_after_passed_tests_fails(self):
        self.assertEqual(self.last_line("item a bash -c 'echo 5 passed, 0 failed; kill -SEGV $$'"), (1, "5 passed, 1 failed"))

    def test_status_77_is_skipped_and_nothing_run_is_no_success(self):
        self.assertEqual(self.last_line("item a bash -c 'echo SKIPPED: no model; exit 77'"), (1, "0 passed, 0 failed"))
        self.assertEqual(self.last_line("item a bash -c 'exit 77'; item b true"), (0, "1 passed, 0 failed"))
        self.assertEqual(self.last_line(r"item a printf 'SKIPPED: no package\n0 passed, 0 failed\n'; item b true"),
                         (0, "1 passed, 0 failed"))

    def test_a_hang_ends(self):
        status, out = run_items("ITEM_SECONDS=1; item a sleep 30")
        self.assertEqual(status, 1)
        self.assertIn("stopped after 1 s", out)

    def test_a_signal_ends_everything_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with tempfile.TemporaryDirectory() as logs:
                body = "queue a sleep 1234.5; queue b sleep 1234.5; finish; item c sleep 1234.5"
                if number == signal.SIGINT:
                    body = "item c sleep 1234.5"
                program = f"""
                    set -euo pipefail
                    source "{ROOT}/script/lib/common.sh"; source "{ROOT}/script/lib/runner.sh"
                    LOGS={logs}
                    trap stop_items EXIT
                    trap 'exit 130' INT TERM
                    stage_x() {{ {body}; }}
                    run_stage x"""
                process = subprocess.Popen(["bash", "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.addCleanup(process.terminate)
                for _ in range(200):  # a busy machine takes its time
                    if sleepers() > 0:
                        break
                    time.sleep(0.1)
                time.sleep(0.5)
                self.assertGreater(sleepers(), 0)
                process.send_signal(number)
                process.communicate(timeout=30)
                self.assertEqual(process.returncode, 130)
                for _ in range(50):
                    if sleepers() == 0:
                        break
                    time.sleep(0.1)
                self.assertEqual(sleepers(), 0)

    def test_queued_items_all_count(self):
        body = "for i in 1 2 3 4 5 6 7; do queue item$i sleep 0.$i; done; queue bad false; finish"
        self.assertEqual(self.last_line(body), (1, "7 passed, 1 failed"))


def write_program(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/bash\n" + text + "\n")
    os.chmod(path, 0o755)


class BootstrapTest(unittest.TestCase):
    """With stand-ins for the package tools; `installed` is what dpkg-query finds."""

    def bootstrap(self, user, sudo, installed=()):
        with tempfile.TemporaryDirectory() as tools:
            calls = os.path.join(tools, "calls")
            packages = os.path.join(tools, "packages")
            with open(packages, "w", encoding="utf-8") as file:
                file.writelines(f"installed {name}\n" for name in installed)
            write_program(tools, "dpkg-query", f"cat {packages}")
            write_program(tools, "id", f"echo {user}")
            write_program(tools, "sudo", f"[[ $1 == -n ]] && shift; {sudo} && exec \"$@\"")
            # "Installs" by adding what it is given to the list.
            write_program(tools, "apt-get", f"echo \"$*\" >>{calls}\n"
                          f"for name; do [[ $name == -* ]] || echo \"installed $name\" >>{packages}; done")
            result = subprocess.run([os.path.join(ROOT, "script", "bootstrap")], capture_output=True, text=True, check=False,
                                    env=dict(os.environ, PATH=tools + ":" + os.environ["PATH"]), stdin=subprocess.DEVNULL)
            try:
                with open(calls, encoding="utf-8") as file:
                    made = file.read()
            except FileNotFoundError:
                made = ""
            return result.returncode, result.stdout + result.stderr, made

    ALL_BUT_LIBEDIT = ("g++", "cmake", "ninja-build", "libboost1.81-dev", "libcli11-dev", "libre2-dev", "libssl-dev", "pkg-config", "python3", "python3-pip",
                      "cargo-web")

    def test_root_installs_what_is_missing(self):
        status, out, calls = self.bootstrap(0, "false", self.ALL_BUT_LIBEDIT)
        self.assertEqual(status, 0, out)
        self.assertIn("update", calls)
        self.assertRegex(calls, r"install --no-install-recommends libedit-dev")
        self.assertNotIn("cmake", calls)

    def test_passwordless_sudo_installs(self):
        status, out, calls = self.bootstrap(1000, "true", self.ALL_BUT_LIBEDIT)
        self.assertEqual(status, 0, out)
        self.assertIn("libedit-dev", calls)

    def test_otherwise_it_names_the_command(self):
        status, out, calls = self.bootstrap(1000, "false", self.ALL_BUT_LIBEDIT)
        self.assertEqual((status, calls), (1, ""))
        self.assertRegex(out, r"sudo apt-get install -y --no-install-recommends libedit-dev\n")

    def test_nothing_missing_is_quiet(self):
        self.assertEqual(self.bootstrap(1000, "false", self.ALL_BUT_LIBEDIT + ("libedit-dev",)), (0, "", ""))


if __name__ == "__main__":
    summary.run("__main__")
