"""Nodes whose disks break or fill, and nodes whose data fill their limit: they acknowledge nothing that could be lost, say
why, stay there to say it, and go on by themselves."""

import os
import shutil
import sys
import time
import unittest

import disk
from cluster import Cluster
from ledger import Ledger

TABLE = {"name": "t", "columns": [{"name": "k", "type": "text"}, {"name": "r", "type": "int64"}], "primary_key": ["k"]}
LARGE = {"name": "f", "columns": [{"name": "k", "type": "text"}, {"name": "s", "type": "text"}], "primary_key": ["k"]}
NODES = (1, 2, 3)
LONG = bool(os.environ.get("FS_LONG"))
# What was deleted takes room until it has aged.
SOON = {"FILESTORED_HISTORY_RETENTION": "5s"}


class Full:
    """What full nodes have to do, whatever fills them."""

    def nothing_is_lost(self, cluster, ledger):
        cluster.wait_ready()
        # A node without a limit may have hundreds of megabytes of log to apply again.
        cluster.wait_equal(1, 180)
        for node in NODES:
            self.assertEqual(ledger.missing(node), [], f"n{node} lacks what was acknowledged")
        print(f"[{len(ledger.acknowledged)} acknowledged] ", end="", file=sys.stderr)

    def put_large(self, cluster, number):
        """Rows of nearly a megabyte together. A leader that is alone without room hands over, so the second answer counts."""
        for attempt in range(3):
            rows = [
                {"op": "put", "table": "f", "key": f"{number}-{part}", "row": {"s": "x" * 110_000}} for part in range(8)]
            answer = cluster.ask("POST", "/v1/batch", {"operations": rows}, {"fs-timeout-ms": "5000"})
            if answer.status < 300:
                return answer
            time.sleep(0.5)
        return answer

    def fill(self, cluster, megabytes):
        """Large rows until some are refused: how many times some were taken, and the refusal."""
        if cluster.ask("GET", "/v1/tables/f", note=False).status != 200:
            self.assertEqual(cluster.ask("POST", "/v1/tables", LARGE).status, 201)
        for number in range(megabytes):
            answer = self.put_large(cluster, number)
            if answer.status >= 300:
                return number, answer
        return megabytes, None

    def refuses_and_comes_back(self, cluster, ledger, full, megabytes, words):
        """A majority is full, under load."""
        taken, refused = self.fill(cluster, megabytes)
        self.assertIsNotNone(refused, f"{megabytes} MB found room")
        self.assertEqual((refused.status, refused.code, refused.json["retry"]), (503, "disk-full", "later"))
        limits = " ".join(cluster.ask("GET", "/v1/cluster").json["limits"])
        self.assertTrue(any(f"n{node}: {words}" in limits for node in full), limits)
        self.assertTrue(any(cluster.metric(node, "filestore_log_full") == 1 for node in full))
        self.assertEqual(cluster.ask("GET", "/v1/tables/f/rows/0-0").status, 200)
        self.assertEqual(cluster.ask("POST", "/v1/tables", {**LARGE, "name": "g"}).code, "disk-full")
        # Nobody makes room but deletes: of one row, and of several at once.
        patience = {"fs-timeout-ms": "20000"}
        self.assertEqual(cluster.ask("DELETE", "/v1/tables/f/rows/0-0", headers=patience).status, 204)
        for number in range(taken):
            some = [{"op": "delete", "table": "f", "key": f"{number}-{part}"} for part in range(8) if number + part > 0]
            answer = cluster.ask("POST", "/v1/batch", {"operations": some}, headers=patience)
            if answer.code == "outcome-unknown":
                # The first node that has room again took over in between. Nobody else deletes: what was done is not there.
                answer = cluster.ask("POST", "/v1/batch", {"operations": some}, headers=patience)
                self.assertIn(answer.status, (200, 404), answer.body)
                continue
            self.assertEqual(answer.status, 200, answer.body)
        before = len(ledger.acknowledged)
        cluster.wait(lambda: len(ledger.acknowledged) >= before + 20, "writes come back", 60)
        again, refused = self.fill(cluster, 5)
        self.assertIsNone(refused, refused and refused.body)


class B3_Disks(Full, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if reason := disk.missing():
            print(f"SKIPPED disks that break or fill: {reason}", file=sys.stderr)
            raise unittest.SkipTest(reason)

    def make(self, nodes, mebibytes):
        """A cluster that runs, the data of these nodes on a disk of their own."""
        cluster = Cluster("disks")
        cluster.settings = {node: dict(SOON) for node in NODES}
        self.addCleanup(cluster.destroy, keep=bool(os.environ.get("FS_KEEP")))
        own = disk.Disk(os.path.join(cluster.directory, "disk"), mebibytes)
        self.addCleanup(own.destroy)
        self.addCleanup(cluster.kill_all)
        for node in nodes:
            shutil.move(f"{cluster.path}/n{node}/data", f"{own.path}/n{node}")
            os.symlink(f"{own.path}/n{node}", f"{cluster.path}/n{node}/data")
        cluster.start()
        cluster.wait_ready()
        self.assertEqual(cluster.ask("POST", "/v1/tables", TABLE).status, 201)
        return cluster, own

    def has_failed(self, cluster, node, reason):
        """Alive, not ready, and it says why: to probes, in its status, in its log, to whoever asks for something."""
        cluster.wait(lambda: cluster.metric(node, "filestore_failed") == 1, f"n{node} has failed", 10)
        status, body = cluster.http1(node, "/readyz")
        self.assertEqual(status, 503)
        self.assertIn(reason, body.decode())
        self.assertEqual(cluster.http1(node, "/healthz")[0], 200)
        limits = " ".join(cluster.ask("GET", "/v1/cluster", node=node).json["limits"])
        self.assertIn(f"n{node} serves no more", limits)
        self.assertIn(reason, limits)
        refused = cluster.ask("PUT", "/v1/tables/t/rows/refused", {"r": 1}, node=node)
        self.assertEqual((refused.status, refused.code), (503, "not-ready"))
        with open(f"{cluster.path}/n{node}/out") as log:
            lines = [line for line in log if "the node serves no more" in line]
        self.assertEqual(len(lines), 1)
        self.assertIn(reason, lines[0])

    def test_a_leader_whose_disk_breaks(self):
        cluster, own = self.make([1], 400)
        self.assertEqual(cluster.ask("POST", "/v1/shards/1/leader", {"to": "n1"}).status, 204)
        with Ledger(cluster, NODES) as ledger:
            ledger.wait_for(50)
            own.fail()
            self.has_failed(cluster, 1, "errno 5")
            ledger.wait_for(50)
            states = {one["id"]: one["state"] for one in cluster.ask("GET", "/v1/nodes", node=2).json["nodes"]}
        self.assertEqual(states, {"n1": "failed", "n2": "up", "n3": "up"})
        self.assertNotEqual(cluster.leader(ask=2), 1)
        cluster.stop(1)
        own.heal()
        cluster.start(1)
        self.nothing_is_lost(cluster, ledger)

    def test_all_disks_break_at_once(self):
        cluster, own = self.make(NODES, 1200)
        with Ledger(cluster, NODES) as ledger:
            ledger.wait_for(50)
            own.fail()
            for node in NODES:
                self.has_failed(cluster, node, "errno 5")
            acknowledged = len(ledger.acknowledged)
            time.sleep(0.5)
        self.assertEqual(len(ledger.acknowledged), acknowledged)
        for node in NODES:
            cluster.stop(node)
        own.heal()
        cluster.start()
        self.nothing_is_lost(cluster, ledger)

    def test_disks_of_one_node_two_and_all_without_room(self):
        for full in ([1], [1, 2], NODES) if LONG else ([1], NODES):
            with self.subTest(full=full):
                self.without_room(full)

    def without_room(self, full):
        cluster, own = self.make(full, 400 * len(full))
        with Ledger(cluster, NODES) as ledger:
            ledger.wait_for(20)
            for node in full:
                cluster.wait(lambda: self.has_reserves(own, node), f"n{node} has its reserves", 60)
            own.fill(leaving=1 << 20)
            if len(full) > 1:
                self.refuses_and_comes_back(cluster, ledger, full, 150, "the disk has no room")
            else:
                self.assertIsNone(self.fill(cluster, 80)[1], "the others go on")
                cluster.wait(lambda: cluster.metric(1, "filestore_log_full") == 1, "n1 is full", 30)
                self.assertNotEqual(cluster.leader(ask=2), 1)
                ledger.wait_for(20)
            own.empty()
            ledger.wait_for(20)
        self.nothing_is_lost(cluster, ledger)
        cluster.kill(*NODES)
        cluster.start()
        self.nothing_is_lost(cluster, ledger)
        cluster.kill_all()

    def has_reserves(self, own, node):
        """Three segments and the first part of the page file are there, nothing is being made."""
        names = [name[-4:] for name in os.listdir(f"{own.path}/n{node}/lane-0/log")]
        return names == [".log"] * 3 and os.path.getsize(f"{own.path}/n{node}/lane-0/pages") >= 33 << 20

    def test_a_start_on_a_full_disk(self):
        cluster, own = self.make(NODES, 1200)
        with Ledger(cluster, NODES) as ledger:
            ledger.wait_for(50)
        for node in NODES:
            cluster.wait(lambda: self.has_reserves(own, node), f"n{node} has its reserves", 60)
        own.fill(leaving=1 << 20)
        for node in NODES:
            cluster.stop(node)
        cluster.start()
        self.nothing_is_lost(cluster, ledger)
        self.assertEqual(cluster.ask("PUT", "/v1/tables/t/rows/again", {"r": 1}).status, 201)


class B4_DiskLimit(Full, unittest.TestCase):
    """The same by the setting `disk-limit`, which needs no file system of its own."""

    LIMIT = 256 << 20

    def make(self, limited):
        cluster = Cluster("limit")
        cluster.settings = {node: dict(SOON) for node in NODES}
        self.addCleanup(cluster.destroy, keep=bool(os.environ.get("FS_KEEP")))
        for node in limited:
            cluster.settings[node].update({"FILESTORED_DISK_LIMIT": "256MiB", "FILESTORED_MEMORY": "64MiB"})
        cluster.start()
        cluster.wait_ready()
        self.assertEqual(cluster.ask("POST", "/v1/tables", TABLE).status, 201)
        return cluster

    def stays_below(self, cluster, node):
        lane = f"{cluster.path}/n{node}/data/lane-0"
        names = [f"{lane}/log/{name}" for name in os.listdir(f"{lane}/log")] + [f"{lane}/pages"]
        self.assertLessEqual(sum(os.path.getsize(name) for name in names), self.LIMIT)
        self.assertEqual(cluster.metric(node, "filestore_disk_limit_bytes"), self.LIMIT)
        disk = next(one for one in cluster.ask("GET", "/v1/nodes").json["nodes"] if one["id"] == f"n{node}")["disk"]
        self.assertEqual(disk["limit_bytes"], self.LIMIT)
        self.assertLessEqual(sum(disk[name] for name in ("data_bytes", "garbage_bytes", "free_bytes", "log_bytes")), self.LIMIT)

    def majority(self, limited):
        cluster = self.make(limited)
        with Ledger(cluster, NODES) as ledger:
            ledger.wait_for(20)
            self.refuses_and_comes_back(cluster, ledger, limited, 250, "the data fill disk-limit")
            for node in limited:
                self.stays_below(cluster, node)
        self.nothing_is_lost(cluster, ledger)
        cluster.kill(*NODES)
        cluster.start()
        self.nothing_is_lost(cluster, ledger)

    @unittest.skipUnless(LONG, "--long")
    def test_all_nodes_at_their_limit(self):
        self.majority(NODES)

    def test_two_nodes_at_their_limit(self):
        self.majority([1, 2])

    @unittest.skipUnless(LONG, "--long")
    def test_one_node_at_its_limit(self):
        cluster = self.make([1])
        with Ledger(cluster, NODES) as ledger:
            self.assertIsNone(self.fill(cluster, 210)[1], "the others go on")
            cluster.wait(lambda: cluster.metric(1, "filestore_log_full") == 1, "n1 is full", 30)
            self.stays_below(cluster, 1)
            self.assertNotEqual(cluster.leader(ask=2), 1)
            ledger.wait_for(20)
            # Deletes stand in the log behind what finds no room: a higher limit lets it catch up.
            cluster.stop(1)
            cluster.settings[1] = dict(SOON)
            cluster.start(1)
        self.nothing_is_lost(cluster, ledger)

    def test_a_limit_that_is_too_small_is_refused(self):
        cluster = self.make([])
        cluster.stop(1)
        cluster.settings[1] = {"FILESTORED_DISK_LIMIT": "400MiB"}
        cluster.start(1)
        self.assertEqual(cluster.processes.pop(1).wait(timeout=10), 2)
        with open(f"{cluster.path}/n1/out") as log:
            self.assertIn("`disk-limit`: with memory: 256MiB at least 448MiB", log.read())
