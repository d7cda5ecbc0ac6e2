"""Nodes that encrypt their data: keys that change under load, also while a node is killed, and what a thief of a disk sees."""

import json
import os
import secrets
import subprocess
import sys
import unittest

from cluster import FSCLUSTER, Cluster
from ledger import Ledger

TABLE = {"name": "t", "columns": [{"name": "k", "type": "text"}, {"name": "r", "type": "int64"}], "primary_key": ["k"]}
NODES = (1, 2, 3)


class B4_Keys(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster("keys")
        self.addCleanup(self.cluster.destroy, keep=bool(os.environ.get("FS_KEEP")))
        self.addCleanup(self.fscluster, "stop", "--force", check=False)

    def fscluster(self, *arguments, check=True):
        done = subprocess.run(
            [FSCLUSTER, *arguments, "--directory", self.cluster.path], capture_output=True, text=True, timeout=120, check=False)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def folder(self, node):
        return f"{self.cluster.path}/n{node}"

    def add_key(self, node):
        """A new master key in front of those that are there."""
        path, old = f"{self.folder(node)}/master.key", ""
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                old = file.read()
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n" + old)
        os.rename(path + ".new", path)

    def holders(self, text):
        """The files of all data directories that hold it."""
        found = []
        for node in NODES:
            for folder, _, names in os.walk(f"{self.folder(node)}/data"):
                for name in names:
                    with open(os.path.join(folder, name), "rb") as file:
                        if text in file.read():
                            found.append(f"n{node}/{name}")
        return found

    def keys(self):
        return {one["node"]: one for one in json.loads(self.fscluster("keys", "list", "--json").stdout)}

    def test_keys_rotate_under_load_and_kills(self):
        for node in NODES:
            self.add_key(node)
            with open(f"{self.folder(node)}/config.yaml", "a", encoding="utf-8") as file:
                file.write("encryption-key-file: master.key\n")
        self.fscluster("start")
        self.assertEqual(self.cluster.ask("POST", "/v1/tables", TABLE).status, 201)
        first = self.keys()
        with Ledger(self.cluster, NODES) as ledger:
            for number in range(6):
                ledger.wait_for(20)
                node = number % 3 + 1
                self.add_key(node)
                self.fscluster("keys", "rotate", f"n{node}")
                if number % 2 == 0:
                    self.fscluster("stop", f"n{node}", "--force")
                    self.fscluster("start", f"n{node}")
            ledger.wait_for(20)
        now = self.keys()
        for name, one in now.items():
            self.assertEqual(len(one["keys"]), 3, one)
            self.assertEqual(len({key["master"] for key in one["keys"]}), 1, one)
            self.assertEqual(one["keys"][0]["id"], first[name]["keys"][0]["id"])
            self.assertNotEqual(one["keys"][0]["master"], first[name]["keys"][0]["master"])
        # Each has wrapped all by the newest: the older master keys may go.
        for node in NODES:
            path = f"{self.folder(node)}/master.key"
            with open(path, encoding="ascii") as file:
                newest = file.readline()
            with open(path, "w", encoding="ascii") as file:
                file.write(newest)
        self.fscluster("restart")
        self.cluster.wait_ready()
        self.cluster.wait_equal(1)
        for node in NODES:
            self.assertEqual(ledger.missing(node), [], f"n{node} lacks what was acknowledged")
        self.fscluster("stop")
        self.assertEqual(self.holders(b"ledger-"), [])
        for node in NODES:
            done = subprocess.run(
                [FSCLUSTER, "inspect", "--data", f"{self.folder(node)}/data"], capture_output=True, text=True, timeout=120,
                check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        print(f"[{len(ledger.acknowledged)} acknowledged] ", end="", file=sys.stderr)

    def test_without_encryption_the_rows_are_found(self):
        """So that the search above can fail."""
        self.fscluster("start")
        self.assertEqual(self.cluster.ask("POST", "/v1/tables", TABLE).status, 201)
        with Ledger(self.cluster, NODES) as ledger:
            ledger.wait_for(20)
        self.fscluster("stop")
        self.assertGreaterEqual(len(self.holders(b"ledger-")), 3)

    def test_a_rotation_that_cannot_be_done_is_told(self):
        done = self.fscluster("keys", "rotate", check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("does not encrypt its data", done.stderr)
        self.add_key(1)
        with open(f"{self.folder(1)}/config.yaml", "a", encoding="utf-8") as file:
            file.write("encryption-key-file: master.key\n")
        self.fscluster("start", "n1", "n2")
        before = self.keys()["n1"]
        with open(f"{self.folder(1)}/master.key", "w", encoding="ascii") as file:
            file.write("no key\n")
        done = self.fscluster("keys", "rotate", "n1", check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("64 hexadecimal digits", done.stderr)
        self.assertEqual(self.keys()["n1"], before)
        self.assertEqual(self.cluster.http1(1, "/readyz")[0], 200)


if __name__ == "__main__":
    unittest.main()
