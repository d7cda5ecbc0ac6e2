"""What clients may rely on, and what bad ones get. Classes run in the order of their names; each leaves three nodes running."""

import json
import os
import socket
import ssl
import subprocess
import threading
import time
import unittest

import frames
from cluster import Cluster

# Every code of the API's table, and why some cannot be met by a client of this version.
CODES = """invalid-json invalid-key invalid-row invalid-argument unknown-column type-mismatch unauthenticated forbidden not-found
table-not-found row-not-found node-not-found job-not-found transaction-not-found method-not-allowed snapshot-too-old too-large
unsupported-type idempotency-mismatch table-exists node-in-use cross-shard transaction-expired conflict deadlock write-conflict
condition-failed wrong-node stale-route overloaded internal not-supported no-quorum not-ready disk-full draining outcome-unknown
deadline-exceeded""".split()
NOT_MET = {
    "internal": "always a bug",
    "wrong-node": "needs fs-route: direct", "stale-route": "needs fs-route: direct",
    "idempotency-mismatch": "no idempotency keys yet",
    "job-not-found": "no jobs yet", "node-in-use": "no membership changes yet",
    "transaction-not-found": "no transactions yet", "transaction-expired": "no transactions yet",
    "cross-shard": "one shard", "deadlock": "no transactions yet", "write-conflict": "no transactions yet",
}

TABLE = {"name": "t", "columns": [
    {"name": "k", "type": "text"}, {"name": "n", "type": "int64", "nullable": True}, {"name": "s", "type": "text", "nullable": True},
    {"name": "b", "type": "bool", "nullable": True}, {"name": "d", "type": "decimal", "nullable": True},
    {"name": "at", "type": "timestamp", "nullable": True}, {"name": "u", "type": "uuid", "nullable": True},
    {"name": "x", "type": "bytes", "nullable": True}, {"name": "f", "type": "float64", "nullable": True},
    {"name": "j", "type": "json", "nullable": True}, {"name": "r", "type": "int64"}], "primary_key": ["k"]}
PAIRS = {"name": "pairs", "columns": [{"name": "a", "type": "text"}, {"name": "b", "type": "int64"}], "primary_key": ["a", "b"]}

cluster = None


def setUpModule():
    global cluster
    cluster = Cluster()
    cluster.start()
    cluster.wait_ready()
    for table in (TABLE, PAIRS):
        answer = cluster.ask("POST", "/v1/tables", table)
        assert answer.status == 201, answer.body


def tearDownModule():
    cluster.destroy(keep=bool(os.environ.get("FS_KEEP")))


class Case(unittest.TestCase):
    maxDiff = None

    def ask(self, *arguments, **named):
        return cluster.ask(*arguments, **named)

    def expect(self, status, code, method, path, body=None, headers=None, **named):
        answer = self.ask(method, path, body, headers, **named)
        self.assertEqual((answer.status, answer.code), (status, code), f"{method} {path[:100]}: {answer.body[:300]}")
        return answer

    def tearDown(self):
        """Whatever came, the nodes still serve."""
        for node in cluster.processes:
            self.assertIsNone(cluster.processes[node].poll(), f"n{node} has ended")


class A1_Tables(Case):
    def test_a_table_is_made_listed_described_and_dropped(self):
        made = self.ask("POST", "/v1/tables", {"name": "z", "columns": [{"name": "k", "type": "uuid"}], "primary_key": ["k"]})
        self.assertEqual((made.status, made.headers["location"]), (201, "/v1/tables/z"))
        taken = {"name": "z", "columns": [{"name": "k", "type": "text"}], "primary_key": ["k"]}
        self.assertEqual(self.expect(409, "table-exists", "POST", "/v1/tables", taken, node=2).json["table"], "z")
        self.assertIn("z", [one["name"] for one in self.ask("GET", "/v1/tables", node=2).json["tables"]])
        self.assertEqual(self.ask("GET", "/v1/tables/z", node=3).json["primary_key"], ["k"])
        self.assertEqual(self.ask("DELETE", "/v1/tables/z", node=2).status, 204)
        self.expect(404, "table-not-found", "GET", "/v1/tables/z")
        self.expect(404, "table-not-found", "DELETE", "/v1/tables/z")

    def test_what_is_not_built_is_501(self):
        base = {"name": "y", "columns": [{"name": "k", "type": "text"}], "primary_key": ["k"]}
        for more in ({"partition": "hash"}, {"shards": 2}, {"replicas": 5}):
            self.expect(501, "not-supported", "POST", "/v1/tables", {**base, **more})
        self.expect(501, "not-supported", "PATCH", "/v1/tables/t", {})
        for path in ("/v1/shards", "/v1/jobs", "/v1/events", "/v1/sql", "/v1/transactions"):
            self.expect(501, "not-supported", "GET", path)
        for name, value in (("fs-read", "follower"), ("fs-route", "direct"), ("fs-transaction", "1"),
                            ("idempotency-key", "a")):
            self.expect(501, "not-supported", "GET", "/v1/tables/t/rows/a", headers={name: value})

    def test_snapshots(self):
        """A moment of the past is read again by its number, whatever came after; one that is not kept is refused."""
        columns = [{"name": "k", "type": "text"}, {"name": "v", "type": "text"}]
        self.ask("POST", "/v1/tables", {"name": "moments", "columns": columns, "primary_key": ["k"]})
        for value in ("one", "two"):
            self.ask("PUT", f"/v1/tables/moments/rows/{value}", {"v": value})
        page = self.ask("GET", "/v1/tables/moments/rows")
        moment = page.headers["fs-snapshot"]
        self.ask("PUT", "/v1/tables/moments/rows/one", {"v": "changed"})
        self.ask("DELETE", "/v1/tables/moments/rows/two")
        self.ask("PUT", "/v1/tables/moments/rows/three", {"v": "new"})
        past = {"fs-read": f"snapshot={moment}"}
        for node in range(3):
            again = self.ask("GET", "/v1/tables/moments/rows", node=node, headers=past)
            self.assertEqual((again.json, again.headers["fs-snapshot"]), (page.json, moment))
            self.assertEqual(self.ask("GET", "/v1/tables/moments/rows/two", node=node, headers=past).json["v"], "two")
            self.expect(404, "row-not-found", "GET", "/v1/tables/moments/rows/three", node=node, headers=past)
            rows = self.ask("POST", "/v1/lookup", {"table": "moments", "keys": ["one", "three"]}, node=node, headers=past).json
            self.assertEqual([row and row["v"] for row in rows["rows"]], ["one", None])
        lines = self.ask("GET", "/v1/tables/moments/rows", headers={**past, "accept": "application/x-ndjson"})
        self.assertEqual(lines.headers["fs-snapshot"], moment)
        self.assertEqual([json.loads(line)["v"] for line in lines.body.splitlines()], ["one", "two"])
        self.assertEqual(len(self.ask("GET", "/v1/tables/moments/rows").json["rows"]), 2)
        self.expect(410, "snapshot-too-old", "GET", "/v1/tables/moments/rows/one", headers={"fs-read": "snapshot=1"})
        for value in ("snapshot=", "snapshot=now", "snapshot=0", "snapshot=1152921504606846976"):
            self.expect(400, "invalid-argument", "GET", "/v1/tables/moments/rows/one", headers={"fs-read": value})
        self.expect(400, "invalid-argument", "DELETE", "/v1/tables/moments/rows/one", headers=past)
        self.expect(400, "invalid-argument", "GET", "/v1/tables", headers=past)

    def test_system_tables_are_read_only(self):
        row = self.ask("GET", "/v1/tables/fs_tables/rows/t", node=2).json
        self.assertEqual(row["name"], "t")
        path = "/v1/tables/fs_tables/rows/t"
        for method, body in (("PUT", row), ("PATCH", {"schema": 7}), ("DELETE", None)):
            for node in (1, 2, 3):
                self.expect(403, "forbidden", method, path, body, node=node)
        refused = self.expect(403, "forbidden", "POST", "/v1/batch", {"operations": [
            {"op": "put", "table": "t", "key": "beside", "row": {"r": 1}}, {"op": "delete", "table": "fs_tables", "key": "t"}]})
        self.assertEqual((refused.json["operation"], refused.json["table"], refused.json["retry"]), (1, "fs_tables", "never"))
        self.expect(403, "forbidden", "DELETE", "/v1/tables/fs_tables")
        self.assertEqual(self.ask("GET", path).json, row)
        self.expect(404, "row-not-found", "GET", "/v1/tables/t/rows/beside")

    def test_descriptions_that_make_no_sense(self):
        good = {"name": "y", "columns": [{"name": "k", "type": "text"}], "primary_key": ["k"]}
        for change in ({"name": "Upper"}, {"name": "fs_x"}, {"name": ""}, {"columns": []}, {"primary_key": []},
                       {"primary_key": ["nope"]}, {"columns": [{"name": "k", "type": "text", "nullable": True}]},
                       {"columns": [{"name": "k", "type": "float64"}]}, {"columns": [{"name": "k", "type": "strange"}]},
                       {"columns": [{"name": "k", "type": "text"}, {"name": "k", "type": "text"}]}, {"colour": "red"}):
            answer = self.ask("POST", "/v1/tables", {**good, **change})
            self.assertEqual(answer.status, 400, (change, answer.body))


class A2_Rows(Case):
    def test_a_row_is_written_read_changed_and_deleted_on_any_node(self):
        path = "/v1/tables/t/rows/" + "g++%2C%C3%A9"
        made = self.ask("PUT", path, {"r": 1, "s": "x"}, node=1)
        self.assertEqual((made.status, made.body), (201, b""))
        self.assertTrue(made.headers["etag"].startswith('"') and made.headers["location"])
        self.assertEqual(self.ask("PUT", path, {"r": 2, "s": "x"}, node=2).status, 200)
        self.assertEqual(self.ask("PATCH", path, {"s": "y"}, node=3).status, 200)
        for node in (1, 2, 3):
            read = self.ask("GET", path, node=node)
            self.assertEqual((read.json["k"], read.json["r"], read.json["s"]), ("g++,é", 2, "y"))
        self.assertEqual(self.ask("GET", path + "?columns=r,k").json, {"r": 2, "k": "g++,é"})
        self.assertEqual(self.ask("HEAD", path).body, b"")
        self.assertEqual(self.ask("DELETE", path, node=2).status, 204)
        self.expect(404, "row-not-found", "GET", path)
        self.expect(404, "row-not-found", "DELETE", path)
        self.expect(404, "row-not-found", "PATCH", path, {"s": "y"})

    def test_conditions(self):
        path = "/v1/tables/t/rows/condition"
        first = self.ask("PUT", path, {"r": 1}, {"if-none-match": "*"}).headers["etag"]
        again = self.expect(412, "condition-failed", "PUT", path, {"r": 1}, {"if-none-match": "*"})
        self.assertEqual(again.json["current_etag"], first.strip('"'))
        self.assertEqual(again.headers["etag"], first)
        second = self.ask("PUT", path, {"r": 2}, {"if-match": first}, node=2).headers["etag"]
        self.assertNotEqual(first, second)
        self.expect(412, "condition-failed", "PATCH", path, {"r": 3}, {"if-match": first})
        self.expect(412, "condition-failed", "PUT", path, {"r": 3}, {"if-match": '"no etag of ours"'})
        self.expect(412, "condition-failed", "DELETE", path, headers={"if-match": first})
        self.expect(400, "invalid-argument", "PUT", path, {"r": 3}, {"if-match": first, "if-none-match": "*"})
        self.assertEqual(self.ask("DELETE", path, headers={"if-match": second}).status, 204)

    def test_composite_keys(self):
        self.assertEqual(self.ask("PUT", "/v1/tables/pairs/rows/x%2Cy,-5", {}).status, 201)
        self.assertEqual(self.ask("GET", "/v1/tables/pairs/rows/x%2Cy,-5").json, {"a": "x,y", "b": -5})
        for key in ("x", "x,y,1", "x,one", "x,", "x,1.5"):
            self.expect(400, "invalid-key", "GET", f"/v1/tables/pairs/rows/{key}")

    def test_lookup_and_batch(self):
        done = self.ask("POST", "/v1/batch", {"operations": [
            {"op": "put", "table": "t", "key": "b1", "row": {"r": 1}}, {"op": "put", "table": "t", "key": "b2", "row": {"r": 2}},
            {"op": "check", "table": "t", "key": "b3", "if_none_match": True}]}, node=2)
        self.assertEqual([one["status"] for one in done.json["results"]], [201, 201, 200], done.body)
        found = self.ask("POST", "/v1/lookup", {"table": "t", "keys": ["b2", "none", "b1"], "columns": ["r"]}, node=3)
        self.assertEqual(found.json, {"rows": [{"r": 2}, None, {"r": 1}]})
        failed = self.expect(412, "condition-failed", "POST", "/v1/batch", {"operations": [
            {"op": "delete", "table": "t", "key": "b1"}, {"op": "put", "table": "t", "key": "b2", "row": {"r": 1}, "if_none_match": True}]})
        self.assertEqual([failed.json[field] for field in ("operation", "table", "key")], [1, "t", "b2"])
        self.assertEqual(self.ask("GET", "/v1/tables/t/rows/b1").status, 200)

    def test_scans_page_by_page_and_as_a_stream(self):
        for number in range(25):
            operations = [{"op": "put", "table": "pairs", "key": [f"s{number:02}", row], "row": {}} for row in range(100)]
            self.assertEqual(self.ask("POST", "/v1/batch", {"operations": operations}).status, 200)
        rows, cursor = [], ""
        while True:
            page = self.ask("GET", f"/v1/tables/pairs/rows?start=s&limit=999{cursor}", node=2).json
            rows += [(row["a"], row["b"]) for row in page["rows"]]
            if not page.get("cursor"):
                break
            cursor = "&cursor=" + page["cursor"]
        wanted = [(f"s{number:02}", row) for number in range(25) for row in range(100)]
        self.assertEqual([row for row in rows if row[0].startswith("s")], wanted)
        lines = {"accept": "application/x-ndjson"}
        for node in (1, 2, 3):
            stream = self.ask("GET", "/v1/tables/pairs/rows?start=s00,0&end=t,0", headers=lines, node=node)
            self.assertEqual(stream.headers["content-type"], "application/x-ndjson")
            self.assertEqual([(row["a"], row["b"]) for row in map(json.loads, stream.body.splitlines())], wanted)
            self.assertNotIn("fs-cursor", stream.trailers)
        part = self.ask("GET", "/v1/tables/pairs/rows?start=s00,0&limit=1500", headers=lines)
        self.assertEqual(len(part.body.splitlines()), 1500)
        rest = self.ask("GET", f"/v1/tables/pairs/rows?cursor={part.trailers['fs-cursor']}&limit=1", headers=lines)
        self.assertEqual(json.loads(rest.body), {"a": "s15", "b": 0})
        last = self.ask("GET", "/v1/tables/pairs/rows?prefix=s24&order=desc&limit=1").json["rows"]
        self.assertEqual(last, [{"a": "s24", "b": 99}])

    def test_large_values_travel_through_a_follower(self):
        node = cluster.follower()
        text = "ü" * 500_000
        self.assertEqual(self.ask("PUT", "/v1/tables/t/rows/large", {"r": 1, "s": text}, node=node).status, 201)
        self.assertEqual(self.ask("GET", "/v1/tables/t/rows/large", node=node).json["s"], text)
        keys = ["large"] * 12
        found = self.ask("POST", "/v1/lookup", {"table": "t", "keys": keys, "columns": ["s"]}, node=node)
        self.assertEqual(len(found.json["rows"]), 12)
        self.assertEqual(self.ask("DELETE", "/v1/tables/t/rows/large", node=node).status, 204)


class A3_BadInput(Case):
    def test_json_that_is_none(self):
        for body in ("", "{", "[]", "nope", '{"r":1} x', '{"r":01}', '{"r":1,}', '{"r":"\x01"}', '{"r":NaN}', '"' + "a" * 10,
                     "[" * 5000, '{"s":"\\ud800"}'):
            answer = self.ask("PUT", "/v1/tables/t/rows/a", body)
            self.assertIn(answer.code, ("invalid-json", "invalid-row", "type-mismatch"), (body[:20], answer.body))
        self.expect(400, "invalid-json", "PUT", "/v1/tables/t/rows/a", '{"r":1')
        self.expect(400, "invalid-json", "PUT", "/v1/tables/t/rows/a", b'{"s":"\xff","r":1}')
        for path in ("/v1/batch", "/v1/lookup", "/v1/tables", "/v1/revocations"):
            self.expect(400, "invalid-json", "POST", path, "{")

    def test_values_of_the_wrong_type(self):
        for column, value in (("n", "1"), ("n", 1.5), ("n", True), ("s", 1), ("b", "true"), ("d", 1), ("at", 5),
                              ("u", 12), ("x", 3), ("f", "1")):
            answer = self.ask("PUT", "/v1/tables/t/rows/a", {"r": 1, column: value})
            self.assertEqual((answer.status, answer.code), (400, "type-mismatch"), (column, value, answer.body))

    def test_numbers_out_of_range_and_texts_out_of_form(self):
        for column, value in (("n", "9223372036854775808"), ("n", "1e400"), ("f", "1e999"), ("d", '"' + "9" * 39 + '"'),
                              ("d", '"one"'), ("at", '"yesterday"'), ("u", '"1234"'), ("x", '"*"')):
            answer = self.ask("PUT", "/v1/tables/t/rows/a", f'{{"r":1,"{column}":{value}}}')
            self.assertEqual(answer.status, 400, (column, value, answer.body))
            self.assertIn(answer.code, ("type-mismatch", "invalid-row", "invalid-json"), (column, value, answer.body))

    def test_rows_that_do_not_fit_their_table(self):
        self.expect(400, "unknown-column", "PUT", "/v1/tables/t/rows/a", {"r": 1, "colour": 1})
        self.expect(400, "unknown-column", "GET", "/v1/tables/t/rows/a?columns=colour")
        self.expect(400, "invalid-row", "PUT", "/v1/tables/t/rows/a", {})
        self.expect(400, "invalid-row", "PUT", "/v1/tables/t/rows/a", {"r": None})
        self.expect(400, "invalid-key", "PUT", "/v1/tables/t/rows/a", {"r": 1, "k": "b"})
        self.expect(400, "invalid-key", "GET", "/v1/tables/t/rows/%FF")
        self.expect(404, "table-not-found", "PUT", "/v1/tables/none/rows/a", {"r": 1})
        self.expect(404, "table-not-found", "GET", "/v1/tables/none/rows")

    def test_limits(self):
        self.expect(413, "too-large", "PUT", "/v1/tables/t/rows/" + "k" * 5000, {"r": 1})
        self.expect(413, "too-large", "PUT", "/v1/tables/t/rows/a", {"r": 1, "s": "x" * (1 << 20)})
        self.expect(413, "too-large", "PUT", "/v1/tables/t/rows/a", b" " * ((16 << 20) + 1))
        put = {"op": "put", "table": "t", "key": "a", "row": {"r": 1}}
        self.expect(413, "too-large", "POST", "/v1/batch", {"operations": [put] * 1001})
        big = {**put, "row": {"r": 1, "s": "x" * 300_000}}
        self.expect(413, "too-large", "POST", "/v1/batch", {"operations": [dict(big, key=f"b{i}") for i in range(5)]})
        self.expect(413, "too-large", "GET", "/v1/tables", headers={"x-filler": "x" * 20_000})
        self.assertIn(self.ask("GET", "/v1/tables/t/rows?limit=10001").code, ("invalid-argument", "too-large"))

    def test_arguments(self):
        for query in ("limit=0", "limit=ten", "limit=-1", "order=up", "cursor=rubbish", "first=1", "limit=1&limit=2", "limit"):
            self.expect(400, "invalid-argument", "GET", f"/v1/tables/t/rows?{query}")
        for headers in ({"fs-timeout-ms": "0"}, {"fs-timeout-ms": "120001"}, {"fs-timeout-ms": "soon"}, {"fs-read": "dirty"},
                        {"fs-nonsense": "1"}, {"if-match": "12"}, {"if-none-match": '"12"'}):
            self.expect(400, "invalid-argument", "DELETE", "/v1/tables/t/rows/a", headers=headers)
        self.assertEqual(self.ask("GET", "/v1/tables", headers={"fs-read": "linearizable", "fs-timeout-ms": "120000"}).status, 200)
        self.expect(400, "invalid-argument", "GET", "/v1/tables/t/rows/a", "{}")
        self.expect(400, "invalid-argument", "POST", "/v1/revocations", {"kind": "user", "serial": "1"})

    def test_paths_methods_and_content_types(self):
        for path in ("/", "/v1", "/v1/nothing", "/v2/tables", "/v1/tables/t/rows/a/b", "/../etc/passwd", "/v1/tables/t/columns"):
            self.expect(404, "not-found", "GET", path)
        refused = self.expect(405, "method-not-allowed", "POST", "/v1/tables/t/rows/a", {})
        self.assertEqual(refused.headers["allow"], "GET, HEAD, PUT, PATCH, DELETE")
        self.expect(405, "method-not-allowed", "PUT", "/v1/tables", {})
        self.expect(405, "method-not-allowed", "GET", "/v1/batch")
        self.expect(405, "method-not-allowed", "TRACE", "/v1/cluster")
        for kind in ("text/plain", "application/xml", "multipart/form-data"):
            self.expect(415, "unsupported-type", "PUT", "/v1/tables/t/rows/a", {"r": 1}, {"content-type": kind})
        self.assertIn(self.ask("PUT", "/v1/tables/t/rows/a", {"r": 1}, {"content-type": None}).status, (200, 201))
        self.expect(501, "not-supported", "POST", "/filestore.v1.Rows/Get", "x", {"content-type": "application/grpc"})

    def test_leadership(self):
        self.expect(404, "node-not-found", "POST", "/v1/shards/1/leader", {"to": "n9"})
        self.expect(404, "not-found", "POST", "/v1/shards/7/leader", {"to": "n1"})
        self.expect(400, "invalid-argument", "POST", "/v1/shards/1/leader", {"to": "everybody"})
        target = cluster.follower()
        self.assertEqual(self.ask("POST", "/v1/shards/1/leader", {"to": f"n{target}"}).status, 204)
        cluster.wait(lambda: cluster.leader() == target, "the leadership was handed over")


class A4_Connections(Case):
    @property
    def authority(self):
        return f"{cluster.path}/ca/nodes.pem"

    def test_probes_need_no_identity_and_take_http1(self):
        for path in ("/healthz", "/readyz", "/metrics"):
            self.assertEqual(cluster.http1(1, path)[0], 200)
            self.assertEqual(self.ask("GET", path, token=None).status, 200)
        self.assertIn(b"filestore_commands_applied_total", cluster.http1(1, "/metrics")[1])
        self.expect(405, "method-not-allowed", "POST", "/healthz", {}, token=None)

    def test_http1_is_told_what_is_spoken_here(self):
        for path, method in (("/v1/tables", "GET"), ("/", "GET"), ("/healthz", "POST")):
            status, body = cluster.http1(1, path, method)
            self.assertEqual(status, 505, body)
            self.assertEqual(body.count(b"\n"), 1)

    def raw(self, data, seconds=15):
        with socket.create_connection(("127.0.0.1", cluster.ports[0]), timeout=seconds) as plain:
            plain.sendall(data)
            answer = b""
            try:
                while part := plain.recv(4096):
                    answer += part
            except ConnectionError:
                pass
            return answer

    def test_plain_http_on_the_tls_port(self):
        answer = self.raw(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
        self.assertIn(b"https", answer)

    def test_bytes_that_are_nothing(self):
        for data in (b"\0" * 100, os.urandom(400), b"\x16\x03\x01\x02\x00\x01" + os.urandom(600), b"\x16\x03\x01\xff\xff" + b"x" * 70000):
            self.raw(data)

    def test_old_tls_and_no_common_protocol_end_with_an_alert(self):
        before = cluster.metric_sum(1, "filestore_handshake_failures_total")
        with self.assertRaises(ssl.SSLError):
            frames.connect(cluster.ports[0], self.authority, version=ssl.TLSVersion.TLSv1_2).recv(1)
        with self.assertRaises(ssl.SSLError):
            frames.connect(cluster.ports[0], self.authority, alpn=("spdy/1",)).recv(1)
        cluster.wait(lambda: cluster.metric_sum(1, "filestore_handshake_failures_total") >= before + 2, "failures are counted", 5)

    def test_a_peer_needs_a_node_certificate(self):
        client = cluster.make_certificate("peer-client")[:2]
        for certificate in (None, client):
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                with frames.connect(
                        cluster.ports[0], self.authority, alpn=("filestore-peer/1",), certificate=certificate) as connection:
                    connection.sendall(b"x" * 20)
                    while connection.recv(100):
                        pass
                    raise ConnectionError

    def open(self):
        connection = frames.Connection(cluster.ports[0], self.authority, cluster.token)
        self.addCleanup(connection.close)
        return connection

    def test_a_truncated_upload_does_nothing(self):
        for length, sent, ends in (("100", b'{"r":1}', True), ("7", b'{"r":1}', False), ("100", b'{"r":', False)):
            connection = self.open()
            connection.send(
                connection.headers(1, "PUT", "/v1/tables/t/rows/cut", [("content-length", length)], end=False),
                frames.frame(frames.DATA, frames.END_STREAM if ends else 0, 1, sent))
            if ends:
                found = connection.read_until(frames.RST_STREAM, 1)
                self.assertIsNotNone(found)
            connection.close()
        time.sleep(0.3)
        self.expect(404, "row-not-found", "GET", "/v1/tables/t/rows/cut")

    def test_a_request_may_come_in_any_pieces(self):
        connection = self.open()
        data = connection.headers(1, "PUT", "/v1/tables/t/rows/slow", end=False) + frames.frame(
            frames.DATA, frames.END_STREAM, 1, b'{"r":1}')
        for byte in data:
            connection.socket.sendall(bytes([byte]))
        self.assertIsNotNone(connection.read_until(frames.HEADERS, 1))
        connection.close()
        self.assertEqual(self.ask("GET", "/v1/tables/t/rows/slow").json["r"], 1)

    def test_floods_end_the_connection(self):
        flood = {
            "resets": lambda c, i: c.headers(2 * i + 1, "GET", "/v1/tables", end=False) + frames.frame(
                frames.RST_STREAM, 0, 2 * i + 1, b"\0\0\0\x08"),
            "pings": lambda c, i: frames.frame(frames.PING, 0, 0, b"12345678"),
            "settings": lambda c, i: frames.frame(frames.SETTINGS, 0, 0),
        }
        for name, make in flood.items():
            connection = self.open()
            with self.subTest(name):
                try:
                    for start in range(0, 20_000, 100):
                        connection.send(*[make(connection, i) for i in range(start, start + 100)])
                except (ConnectionError, ssl.SSLError, socket.timeout):
                    continue
                found = connection.read_until(frames.GOAWAY)
                self.assertTrue(found is None or found[3][4:8] != b"\0\0\0\0", "it ends with an error")
            connection.close()

    def test_a_frame_that_is_too_large(self):
        connection = self.open()
        connection.send(frames.frame(frames.DATA, 0, 1, b"x" * 20_000))
        found = connection.read_until(frames.GOAWAY)
        self.assertTrue(found is None or found[3][4:8] != b"\0\0\0\0")

    def test_ended_connections_do_not_touch_new_ones(self):
        """Descriptors are used again at once: what still runs for an old one must not meet the new one."""
        end = time.monotonic() + 4
        wrong = []

        def rubbish():
            while time.monotonic() < end:
                self.raw(b"GET / HTTP/1.1\r\n\r\n" + b"x" * 3000)

        def probe():
            while time.monotonic() < end:
                try:
                    with frames.connect(cluster.ports[0], self.authority, alpn=("http/1.1",)) as connection:
                        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
                        answer = b""
                        while part := connection.recv(4096):
                            answer += part
                        if not answer.startswith(b"HTTP/1.1 200"):
                            wrong.append(answer)
                except OSError as error:
                    wrong.append(error)

        threads = [threading.Thread(target=one) for one in [rubbish] * 4 + [probe] * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_a_client_that_says_nothing_is_cut_off(self):
        with socket.create_connection(("127.0.0.1", cluster.ports[0]), timeout=20) as silent:
            began = time.monotonic()
            self.assertEqual(silent.recv(1), b"")
            self.assertLess(time.monotonic() - began, 15)

    def test_many_streams_of_one_connection_are_all_answered(self):
        connection = self.open()
        connection.send(*[connection.headers(2 * i + 1, "GET", "/v1/tables/pairs/rows?limit=2") for i in range(120)])
        answered = set()
        while len(answered) < 120:
            found = connection.read_until(frames.HEADERS)
            self.assertIsNotNone(found)
            answered.add(found[2])
        connection.close()


class A5_Identity(Case):
    def refused(self, token, **named):
        self.expect(401, "unauthenticated", "GET", "/v1/tables", token=token, **named)

    def test_tokens(self):
        self.refused(None)
        self.refused("rubbish")
        self.refused("fst1.e30.e30")
        self.refused(cluster.make_token("me", seconds=-5))
        self.refused(cluster.make_token("me", cluster="00" * 16))
        self.refused(cluster.make_token("me", key=cluster.make_key("stranger.key")))
        self.refused(cluster.make_token("me", claims="{}"))
        self.refused("x" * 5000)
        good = cluster.make_token("me")
        payload = good.split(".")
        self.refused(".".join([payload[0], payload[1][:-2] + "AA", payload[2]]))
        for node in (1, 2, 3):
            self.assertEqual(self.ask("GET", "/v1/tables", token=good, node=node).status, 200)
        self.expect(401, "unauthenticated", "GET", "/v1/tables", token=None, headers={"authorization": "Basic eDp5"})
        self.assertEqual(self.ask("GET", "/v1/tables", token=None, headers={"authorization": "bearer " + good}).status, 200)

    def test_without_identity_nothing_is_told_about_paths(self):
        self.expect(401, "unauthenticated", "GET", "/v1/nothing", token=None)

    def test_a_token_that_expires_while_its_connection_lives(self):
        token = cluster.make_token("me", seconds=2)
        connection = frames.Connection(cluster.ports[0], f"{cluster.path}/ca/nodes.pem", token)
        seen = []
        for stream in (1, 3):
            connection.send(connection.headers(stream, "GET", "/v1/tables/none"))
            connection.read_until(frames.HEADERS, stream)
            seen.append(connection.read_until(frames.DATA, stream)[3])
            time.sleep(2.5)
        connection.close()
        self.assertIn(b"table-not-found", seen[0])
        self.assertIn(b"unauthenticated", seen[1])

    def test_a_revoked_token_is_refused_everywhere_and_for_ever(self):
        serial = os.urandom(16).hex()
        token = cluster.make_token("me", serial=serial)
        self.assertEqual(self.ask("GET", "/v1/tables", token=token).status, 200)
        self.assertEqual(self.ask("POST", "/v1/revocations", {"kind": "token", "serial": serial}).status, 204)
        for node in (1, 2, 3):
            cluster.wait(lambda: self.ask("GET", "/v1/tables", token=token, node=node).status == 401, "it is refused", 3)

    def test_serials_are_revoked_in_upper_case_too(self):
        serial = os.urandom(15).hex() + "af"
        token = cluster.make_token("me", serial=serial)
        shouting = cluster.make_token("me", serial="AF" + serial.upper())
        self.assertEqual(self.ask("GET", "/v1/tables", token=shouting).status, 200)
        certificate, key, number = cluster.make_certificate("carol")
        printed = subprocess.run(
            ["openssl", "x509", "-in", certificate, "-noout", "-serial"], check=True, capture_output=True, text=True).stdout
        printed = printed.strip().removeprefix("serial=")
        self.assertEqual(printed.lstrip("0").lower(), number)
        use = {"token": None, "certificate": (certificate, key)}
        self.assertEqual(self.ask("GET", "/v1/tables", **use).status, 200)
        for kind, given in (("token", serial.upper()), ("token", "af" + serial), ("certificate", printed)):
            self.assertEqual(self.ask("POST", "/v1/revocations", {"kind": kind, "serial": given}).status, 204)
        for node in (1, 2, 3):
            for identity in ({"token": token}, {"token": shouting}, use):
                cluster.wait(
                    lambda: self.ask("GET", "/v1/tables", node=node, **identity).status == 401, "it is refused", 3)

    def test_client_certificates(self):
        certificate, key, serial = cluster.make_certificate("alice")
        use = {"token": None, "certificate": (certificate, key)}
        self.assertEqual(self.ask("GET", "/v1/tables", **use).status, 200)
        self.assertEqual(self.ask("POST", "/v1/revocations", {"kind": "certificate", "serial": serial}).status, 204)
        for node in (1, 2, 3):
            cluster.wait(lambda: self.ask("GET", "/v1/tables", node=node, **use).status == 401, "it is refused", 3)

    def handshake_refused(self, certificate, cause):
        before = cluster.handshake_failures(1, cause)
        with self.assertRaises(ConnectionError):
            self.ask("GET", "/v1/tables", token=None, certificate=certificate)
        cluster.wait(lambda: cluster.handshake_failures(1, cause) > before, f"{cause} is counted", 5)

    def test_certificates_that_are_not_for_clients(self):
        self.handshake_refused(cluster.make_certificate("late", expired=True)[:2], "certificate-expired")
        stranger = cluster.make_authority("stranger-ca")
        self.handshake_refused(cluster.make_certificate("bob", authority=stranger)[:2], "unknown-authority")
        self.handshake_refused((f"{cluster.path}/n1/node.pem", f"{cluster.path}/n1/node.key"), "wrong-kind-of-certificate")

    def test_a_client_that_trusts_another_authority_refuses_the_server(self):
        certificate, _ = cluster.make_authority("other-ca")
        done = cluster.curl("--http2", "--cacert", certificate, cluster.url(1, "/healthz"))
        self.assertEqual(done.returncode, 60)


class A6_Settings(Case):
    """A node that must not start, and what it must not touch."""

    def start(self, *arguments, folder=None):
        return subprocess.run(
            [os.environ["FILESTORED"], *arguments], cwd=folder or f"{cluster.path}/n1", capture_output=True, text=True, timeout=30)

    def variant(self, change):
        path = f"{cluster.path}/n1/variant.yaml"
        with open(f"{cluster.path}/n1/config.yaml") as file:
            lines = [line for line in file.read().splitlines() if not line.startswith("log:")]
        lines = change(lines)
        with open(path, "w") as file:
            file.write("\n".join(lines) + "\n")
        return path

    def snapshot(self, folder):
        found = {}
        for base, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(base, name)
                with open(path, "rb") as file:
                    found[path] = (os.stat(path).st_mtime_ns, hash(file.read()))
        return found

    def test_check_prints_the_effective_settings(self):
        done = self.start("--check", "--config", "config.yaml", "--memory", "128MiB")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("memory: 128MiB", done.stdout)
        self.assertIn("# flag --memory", done.stdout)

    def test_wrong_settings_are_refused_with_their_line(self):
        for line, word in (("memori: 1GiB", "memory"), ("memory: lots", "256MiB"), ("cores: 2", "not supported"),
                           ("faults: on", "not supported")):
            name = line.split(":")[0] + ":"
            path = self.variant(lambda lines: [one for one in lines if not one.startswith(name)] + [line])
            with open(path) as file:
                number = len(file.read().splitlines())
            done = self.start("--check", "--config", path)
            self.assertEqual(done.returncode, 2, (line, done.stderr))
            self.assertIn(f"variant.yaml:{number}", done.stderr)
            self.assertIn(word, done.stderr)
        self.assertEqual(self.start().returncode, 2)
        self.assertEqual(self.start("--config", "nothing.yaml").returncode, 2)

    def test_a_data_directory_in_use_is_refused(self):
        done = self.start("--config", "config.yaml", "--log", "info")
        self.assertEqual(done.returncode, 1)
        self.assertIn("another filestored uses it", done.stderr)

    def test_an_empty_directory_and_one_of_another_node_are_refused_untouched(self):
        empty = os.path.join(cluster.directory, "empty")
        os.makedirs(empty, exist_ok=True)
        foreign = os.path.join(cluster.directory, "foreign")
        os.makedirs(foreign, exist_ok=True)
        open(os.path.join(foreign, "notes.txt"), "w").close()
        other = f"{cluster.path}/n2/data"
        for folder, word in ((empty, "fscluster init"), (foreign, "no data directory"), (other, "belongs to node")):
            cluster.pause(2)
            before = self.snapshot(folder)
            done = self.start("--config", "config.yaml", "--data", folder, "--log", "info")
            self.assertEqual((done.returncode, self.snapshot(folder) == before), (1, True), (folder, done.stderr))
            cluster.resume(2)
            self.assertIn(word, done.stderr)

    def test_a_directory_of_another_cluster_is_refused_untouched(self):
        other = Cluster("other")
        try:
            folder = f"{other.path}/n1/data"
            before = self.snapshot(folder)
            done = self.start("--config", "config.yaml", "--data", folder, "--log", "info")
            self.assertEqual((done.returncode, self.snapshot(folder) == before), (1, True), done.stderr)
            self.assertIn("belongs to cluster", done.stderr)
        finally:
            other.destroy(keep=False)

    def test_a_taken_port_is_named(self):
        other = Cluster("ports")
        try:
            done = self.start(
                "--config", "config.yaml", "--address", f"127.0.0.1:{cluster.ports[1]}", "--log", "info", folder=f"{other.path}/n1")
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"127.0.0.1:{cluster.ports[1]} is taken by filestored", done.stderr)
        finally:
            other.destroy(keep=False)

    def test_plain_text_is_for_loopback_only(self):
        done = self.start("--check", "--config", "config.yaml", "--insecure", "on", "--address", "0.0.0.0:7")
        self.assertEqual(done.returncode, 2)
        self.assertIn("loopback", done.stderr)


class B1_Failures(Case):
    """Nodes paused, killed, without a majority. Every test restores the cluster."""

    def setUp(self):
        cluster.wait_ready()

    def test_a_paused_leader_leaves_the_outcome_unknown(self):
        leader = cluster.leader()
        node = cluster.follower()
        cluster.pause(leader)
        try:
            late = self.ask("PUT", "/v1/tables/t/rows/late", {"r": 1}, {"fs-timeout-ms": "100"}, node=node)
            self.assertEqual((late.status, late.code, late.json["retry"]), (504, "deadline-exceeded", "unknown"))
        finally:
            cluster.resume(leader)
        cluster.wait_equal(node)

    def test_a_write_whose_leader_dies_says_that_nobody_knows(self):
        leader = cluster.leader()
        node = cluster.follower()
        answers = []

        def ask():
            answers.append(self.ask("PUT", "/v1/tables/t/rows/lost", {"r": 1}, {"fs-timeout-ms": "9000"}, node=node))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        cluster.pause(leader)
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        cluster.kill(leader)
        for thread in threads:
            thread.join()
        cluster.start(leader)
        for answer in answers:
            self.assertEqual((answer.status, answer.code, answer.json["retry"]), (503, "outcome-unknown", "unknown"))

    def test_a_killed_leader_loses_nothing_that_was_acknowledged(self):
        leader = cluster.leader()
        others = [node for node in (1, 2, 3) if node != leader]
        acknowledged, stop = {}, threading.Event()

        def write(worker):
            number = 0
            while not stop.is_set():
                number += 1
                key = f"kill-{worker}-{number}"
                try:
                    answer = self.ask("PUT", f"/v1/tables/t/rows/{key}", {"r": number}, {"fs-timeout-ms": "2000"}, node=others[worker % 2])
                    if answer.status < 300:
                        acknowledged[key] = number
                except (ConnectionError, FileNotFoundError):
                    pass

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        cluster.kill(leader)
        killed = time.monotonic()
        before = len(acknowledged)
        cluster.wait(lambda: len(acknowledged) > before + 4, "writes go on", 10)
        paused = time.monotonic() - killed
        time.sleep(1)
        stop.set()
        for thread in threads:
            thread.join()
        print(f"[{len(acknowledged)} acknowledged, on after {paused:.2f} s] ", end="")
        cluster.start(leader)
        cluster.wait_ready()
        for node in (1, 2, 3):
            keys = list(acknowledged)
            for start in range(0, len(keys), 500):
                part = keys[start:start + 500]
                rows = self.ask("POST", "/v1/lookup", {"table": "t", "keys": part, "columns": ["r"]}, node=node).json["rows"]
                self.assertEqual([row and row["r"] for row in rows], [acknowledged[key] for key in part])
        cluster.wait_equal(1)

    def test_without_a_majority_writes_are_refused_by_their_deadline(self):
        leader = cluster.leader()
        gone = [node for node in (1, 2, 3) if node != leader]
        cluster.kill(*gone)
        try:
            cluster.wait(lambda: cluster.http1(leader, "/readyz")[0] == 503, "it is not ready", 10)
            self.expect(503, "not-ready", "GET", "/readyz", node=leader, token=None)
            self.assertEqual(cluster.http1(leader, "/healthz")[0], 200)
            refused = self.expect(503, "no-quorum", "PUT", "/v1/tables/t/rows/a", {"r": 1}, {"fs-timeout-ms": "500"}, node=leader)
            self.assertEqual(refused.json["retry"], "later")
            self.expect(503, "no-quorum", "GET", "/v1/tables/t/rows/a", headers={"fs-timeout-ms": "500"}, node=leader)
            status = self.ask("GET", "/v1/cluster", node=leader).json
            self.assertEqual((status["health"], status["failures_tolerated"]), ("down", 0))
            self.overload(leader)
        finally:
            cluster.start(*gone)
        cluster.wait_ready()
        self.assertEqual(self.ask("PUT", "/v1/tables/t/rows/a", {"r": 1}).status // 100, 2)

    def overload(self, node):
        """More requests than it keeps waiting: the rest is 429 at once."""
        load = subprocess.Popen(
            ["h2load", "-c", "150", "-m", "128", "-n", "19200", "-H", f"authorization: Bearer {cluster.token}",
             "-H", "fs-timeout-ms: 10000", cluster.url(node, "/v1/tables/t/rows/a")], stdout=subprocess.PIPE, text=True)
        try:
            # Not asked before: a request that was taken and ends would leave its place to the next one.
            cluster.wait(lambda: "filestore_requests_waiting 16384" in str(cluster.http1(node, "/metrics")), "it is full", 9)
            self.expect(429, "overloaded", "GET", "/v1/tables/t/rows/a", headers={"fs-timeout-ms": "200"}, node=node)
        finally:
            output = load.communicate(timeout=60)[0]
        self.assertIn("19200 done", output)

    def test_leadership_is_not_handed_to_a_node_that_is_away(self):
        leader = cluster.leader()
        node = cluster.follower()
        cluster.kill(node)
        try:
            refused = self.expect(409, "conflict", "POST", "/v1/shards/1/leader", {"to": f"n{node}"}, node=leader)
            self.assertNotIn("table", refused.json["title"])
        finally:
            cluster.start(node)

    def test_sigterm_hands_over_and_ends_in_time(self):
        leader = cluster.leader()
        node = cluster.follower()
        began = time.monotonic()
        cluster.stop(leader)
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(self.ask("PUT", "/v1/tables/t/rows/after", {"r": 1}, {"fs-timeout-ms": "3000"}, node=node).status // 100, 2)
        cluster.start(leader)

    def test_a_draining_node_says_so(self):
        node = cluster.follower()
        others = [one for one in (1, 2, 3) if one != node]
        context = ssl.create_default_context(cafile=f"{cluster.path}/ca/nodes.pem")
        context.set_alpn_protocols(["http/1.1"])
        # A probe that was connected before the node was told to stop; a request keeps it from ending.
        probe = context.wrap_socket(socket.create_connection(("127.0.0.1", cluster.ports[node - 1])), server_hostname="localhost")
        held = frames.Connection(cluster.ports[node - 1], f"{cluster.path}/ca/nodes.pem", cluster.token)
        for one in others:
            cluster.pause(one)
        try:
            held.send(held.headers(1, "GET", "/v1/tables/t/rows/a", [("fs-timeout-ms", "3000")]))
            time.sleep(0.2)
            self.addCleanup(probe.close)
            self.addCleanup(held.close)
            cluster.stop(node, wait=False)
            time.sleep(0.3)
            probe.sendall(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
            answer = b""
            while part := probe.recv(4096):
                answer += part
            problem = json.loads(answer.split(b"\r\n\r\n", 1)[1])
            self.assertEqual((problem["status"], problem["code"], problem["retry"]), (503, "draining", "elsewhere"))
            Cluster.seen_codes.setdefault("draining", (503, "elsewhere"))
        finally:
            for one in others:
                cluster.resume(one)
            cluster.processes.pop(node).wait(timeout=40)
            cluster.start(node)

    def test_all_killed_at_once(self):
        self.assertEqual(self.ask("PUT", "/v1/tables/t/rows/all", {"r": 7}).status // 100, 2)
        cluster.kill(1, 2, 3)
        cluster.start()
        cluster.wait_ready()
        self.assertEqual(self.ask("GET", "/v1/tables/t/rows/all").json["r"], 7)
        cluster.wait_equal(1)


@unittest.skipUnless(os.environ.get("FS_LONG"), "only with --long")
class B2_Full(Case):
    def test_a_full_log_refuses_writes_until_every_node_has_it(self):
        node = cluster.follower()
        asked = next(one for one in (1, 2, 3) if one != node)
        cluster.kill(node)
        row = {"r": 1, "s": "x" * 1_000_000}
        for number in range(1500):
            answer = self.ask("PUT", f"/v1/tables/t/rows/full{number % 10}", row, node=asked)
            if answer.status != 200 and answer.status != 201:
                break
        self.assertEqual((answer.status, answer.code), (503, "disk-full"))
        self.assertIn("log is full", " ".join(self.ask("GET", "/v1/cluster", node=asked).json["limits"]))
        cluster.start(node)
        cluster.wait(lambda: self.ask("PUT", "/v1/tables/t/rows/full0", {"r": 1}, node=asked).status == 200, "it has room again", 120)
        cluster.wait_equal(asked)


class Z_Codes(Case):
    def test_every_code_was_met(self):
        missing = [code for code in CODES if code not in Cluster.seen_codes and code not in NOT_MET]
        self.assertEqual(missing, [])
        unknown = [code for code in Cluster.seen_codes if code not in CODES]
        self.assertEqual(unknown, [])


if __name__ == "__main__":
    unittest.main()
