"""Nodes whose disks break or fill: they acknowledge nothing that could be lost, say why, and stay there to say it."""

import os
import shutil
import sys
import time
import unittest

import disk
from cluster import Cluster
from ledger import Ledger

TABLE = {"name": "t", "columns": [{"name": "k", "type": "text"}, {"name": "r", "type": "int64"}], "primary_key": ["k"]}
NODES = (1, 2, 3)


class B3_Disks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if reason := disk.missing():
            print(f"SKIPPED disks that break or fill: {reason}", file=sys.stderr)
            raise unittest.SkipTest(reason)

    def make(self, nodes, mebibytes):
        """A cluster that runs, the data of these nodes on a disk of their own."""
        cluster = Cluster("disks")
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

    def nothing_is_lost(self, cluster, ledger):
        cluster.wait_ready()
        cluster.wait_equal(1)
        for node in NODES:
            self.assertEqual(ledger.missing(node), [], f"n{node} lacks what was acknowledged")
        print(f"[{len(ledger.acknowledged)} acknowledged] ", end="", file=sys.stderr)

    def test_a_leader_whose_disk_breaks(self):
        cluster, own = self.make([1], 300)
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
        cluster, own = self.make(NODES, 700)
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

    def refuses_for_want_of_room(self, cluster, node):
        cluster.wait(lambda: cluster.metric(node, "filestore_log_full") == 1, f"n{node} refuses writes", 10)
        self.assertIn(f"n{node}: the disk has no room", " ".join(cluster.ask("GET", "/v1/cluster", node=node).json["limits"]))
        with open(f"{cluster.path}/n{node}/out") as log:
            self.assertIn("the disk has no room", log.read())

    def test_disks_without_room(self):
        cluster, own = self.make(NODES, 700)
        with Ledger(cluster, NODES) as ledger:
            ledger.wait_for(50)
        for node in NODES:
            cluster.wait(lambda: self.has_spare(own, node), f"n{node} has its next segment")
            cluster.stop(node)
        own.fill(leaving=8 << 20)
        cluster.start()
        cluster.wait_ready()
        for node in NODES:
            self.refuses_for_want_of_room(cluster, node)
        refused = cluster.ask("PUT", "/v1/tables/t/rows/refused", {"r": 1})
        self.assertEqual((refused.status, refused.code, refused.json["retry"]), (503, "disk-full", "later"))
        self.assertIn("has no room", refused.json["detail"])
        for node in NODES:
            self.assertEqual(ledger.missing(node), [])
        own.empty()
        cluster.wait(lambda: cluster.ask("PUT", "/v1/tables/t/rows/again", {"r": 1}).status == 201, "writes go on", 10)
        self.nothing_is_lost(cluster, ledger)
        cluster.kill(*NODES)
        cluster.start()
        self.nothing_is_lost(cluster, ledger)

    def has_spare(self, own, node):
        """The segment in use and the next one are there, none is being made."""
        return [name[-4:] for name in os.listdir(f"{own.path}/n{node}/lane-0/log")] == [".log", ".log"]
