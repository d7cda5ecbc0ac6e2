"""Cluster/quickstart: what it refuses, with exit code 2 and nothing changed. A whole run is the stage `quickstart`."""

import os
import socket
import subprocess
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
QUICKSTART = os.path.join(ROOT, "Cluster", "quickstart")


class QuickstartArguments(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.directory = os.path.join(self.place.name, "cluster")

    def run_script(self, *arguments, path=None):
        environment = dict(os.environ, **({"PATH": path} if path else {}))
        return subprocess.run(
            ["/bin/bash", QUICKSTART, *arguments], capture_output=True, text=True, timeout=60, env=environment, check=False)

    def assert_refused(self, result, *words):
        self.assertEqual(result.returncode, 2, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def test_unknown_options_are_refused(self):
        self.assert_refused(self.run_script("--nonsense"), "--nonsense", "usage:")

    def test_values_are_needed(self):
        self.assert_refused(self.run_script("--port"), "--port needs a value")
        self.assert_refused(self.run_script("--directory"), "--directory needs a value")

    def test_ports_are_numbers_with_room_for_three(self):
        for port in ("x", "0", "65534", "-1", "1e3"):
            self.assert_refused(self.run_script("--port", port), port)

    def test_down_takes_no_other_option(self):
        self.assert_refused(self.run_script("--down", "--empty"), "--down")

    def test_help_is_no_error(self):
        result = self.run_script("--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn("--directory", result.stdout)

    def test_down_without_a_cluster_is_done_already(self):
        result = self.run_script("--down", "--directory", self.directory)
        self.assertEqual(result.returncode, 0)
        self.assertIn("There is no cluster", result.stdout)

    def test_a_directory_of_somebody_else_is_left_alone(self):
        os.mkdir(self.directory)
        keep = os.path.join(self.directory, "keep")
        open(keep, "w", encoding="utf-8").close()
        self.assert_refused(self.run_script("--down", "--directory", self.directory), "was not made by")
        self.assert_refused(self.run_script("--directory", self.directory), "was not made by")
        self.assertTrue(os.path.exists(keep))

    def test_a_directory_of_its_own_is_removed(self):
        os.mkdir(self.directory)
        with open(os.path.join(self.directory, ".quickstart"), "w", encoding="utf-8") as marker:
            marker.write("made by Cluster/quickstart\n")
        self.assertEqual(self.run_script("--down", "--directory", self.directory).returncode, 0)
        self.assertFalse(os.path.exists(self.directory))

    def test_a_taken_port_is_named_with_its_holder(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            if port > 65533:
                self.skipTest("the system chose a port without room behind it")
            result = self.run_script("--port", str(port), "--directory", self.directory)
        self.assert_refused(result, f"port {port} is taken by", f"(pid {os.getpid()})")
        self.assertFalse(os.path.exists(self.directory))

    def test_without_a_toolchain_nothing_is_changed(self):
        tools = os.path.join(self.place.name, "tools")
        os.mkdir(tools)
        for name in ("bash", "dirname", "realpath", "sed", "head", "sort", "grep", "cat"):
            os.symlink(f"/usr/bin/{name}", os.path.join(tools, name))
        self.assert_refused(self.run_script("--directory", self.directory, path=tools), "Swift 6.3", "swift.org")
        with open(os.path.join(tools, "swift"), "w", encoding="utf-8") as old:
            old.write("#!/bin/bash\necho 'Swift version 5.10.1 (swift-5.10.1-RELEASE)'\n")
        os.chmod(os.path.join(tools, "swift"), 0o755)
        self.assert_refused(self.run_script("--directory", self.directory, path=tools), "found: 5.10.1")
        self.assertFalse(os.path.exists(self.directory))


if __name__ == "__main__":
    unittest.main()
