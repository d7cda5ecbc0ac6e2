"""Cluster/compare-etcd: what its parts make of outputs, counters and figures. The comparison itself is no test."""

import argparse
import importlib.machinery
import importlib.util
import json
import math
import os
import pathlib
import socket
import sys
import tempfile
import types
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "Cluster" / "lib"))

from compare import etcd, h2load, keys, machine, metrics, runs  # noqa: E402
from compare.failures import Failed, Missing  # noqa: E402
from compare.figures import Figure, Figures, number  # noqa: E402
from compare.request import Request  # noqa: E402

SCRIPT = ROOT / "Cluster" / "compare-etcd"
loader = importlib.machinery.SourceFileLoader("compare_etcd", str(SCRIPT))
script = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
loader.exec_module(script)

# As h2load 1.52 prints it.
OUTPUT = """\
starting benchmark...
spawning thread #0: 2 total client(s). 20 total requests
Application protocol: h2c
progress: 10% done
progress: 100% done

finished in 1.07ms, 18656.72 req/s, 723.31KB/s
requests: 20 total, 20 started, 20 done, 20 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 20 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 794B (794) total, 326B (326) headers (space savings 89.35%), 60B (60) data
                     min         max         mean         sd        +/- sd
time for request:       29us      1.93ms        67us        52us    80.00%
time for connect:      157us       318us       238us       114us   100.00%
time to 1st byte:      435us       545us       490us        77us   100.00%
req/s           :   12172.00    13887.23    13029.61     1212.85   100.00%
"""
REFUSED = OUTPUT.replace("20 succeeded, 0 failed", "0 succeeded, 20 failed").replace(
    "20 2xx, 0 3xx, 0 4xx", "0 2xx, 0 3xx, 20 4xx")


class H2load(unittest.TestCase):
    def test_rate_mean_and_worst_are_read(self):
        result = h2load.parse(OUTPUT, 20)
        self.assertEqual(result.rate, 18656.72)
        self.assertAlmostEqual(result.mean, 67e-6)
        self.assertAlmostEqual(result.worst, 1.93e-3)

    def test_times_have_units(self):
        for text, value in (("245us", 245e-6), ("2.09ms", 2.09e-3), ("1.20s", 1.2)):
            self.assertAlmostEqual(h2load.seconds(text), value)
        for text in ("245", "us", "1.2m", "-1us", "1us "):
            self.assertRaises(Failed, h2load.seconds, text)

    def test_requests_that_fail_have_no_figures(self):
        self.assertRaisesRegex(Failed, "of 20 requests 0 succeeded", h2load.parse, REFUSED, 20)

    def test_fewer_requests_than_were_asked_for_have_no_figures(self):
        self.assertRaisesRegex(Failed, "of 21 requests 20 succeeded", h2load.parse, OUTPUT, 21)

    def test_other_output_is_not_guessed_at(self):
        for line in ("finished in", "requests:", "status codes:", "time for request:"):
            self.assertRaisesRegex(Failed, "not understood", h2load.parse, OUTPUT.replace(line, "x"), 20)


class Numbers(unittest.TestCase):
    def test_four_digits_count(self):
        for value, written in ((18656.72, 18657), (1.23456, 1.235), (0.000123456, 0.0001235), (99999, 99999), (0, 0)):
            self.assertEqual(number(value), written)

    def test_what_is_no_number_is_zero(self):
        self.assertEqual([number(math.nan), number(math.inf), number(None)], [0, 0, 0])

    def test_negative_numbers_too(self):
        self.assertEqual(number(-1.23456), -1.235)


class OneFigure(unittest.TestCase):
    def figure(self, ours, theirs, unit="1/s"):
        figure = Figure("write/1x1", unit, "etcd")
        for pair in zip(ours, theirs):
            figure.add(*pair)
        return figure

    def test_the_ratio_is_that_of_medians(self):
        # Not the median of ratios, which is 3 here.
        figure = self.figure([10, 40, 90], [40, 10, 30])
        self.assertEqual((figure.value, figure.reference_value), (40, 30))
        self.assertAlmostEqual(figure.ratio, 4 / 3)

    def test_of_two_rounds_the_median_lies_between(self):
        self.assertEqual(self.figure([10, 20], [1, 3]).ratio, 7.5)

    def test_nothing_measured_has_no_ratio(self):
        self.assertTrue(math.isnan(self.figure([1], [0]).ratio))

    def test_a_line_of_json(self):
        self.assertEqual(
            self.figure([1234.5678], [1000.0]).json(),
            '{"name":"write/1x1","value":1235,"unit":"1/s","reference":"etcd","reference_value":1000,"ratio":1.235}')

    def test_people_read_scaled_numbers(self):
        figure = self.figure([1], [1], unit="s")
        self.assertEqual([figure.readable(value) for value in (2.5, 0.0123, 44.1e-6, 1e-9)],
                         ["2.5 s", "12.3 ms", "44.1 µs", "0.001 µs"])
        figure = self.figure([1], [1])
        self.assertEqual([figure.readable(value) for value in (999, 12345)], ["999 /s", "12.3 K/s"])


class Bars(unittest.TestCase):
    def missed(self, bars, prefixes=("write/", "read/", "tls/", "forwarded/"), **measured):
        figures = Figures()
        for name, ratio in measured.items():
            figures.add(name.replace("_", "/"), "1/s", "etcd", ratio, 1.0)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(bars, file)
            file.flush()
            return figures.missed(file.name, prefixes)

    def test_a_bar_that_is_reached_is_silent(self):
        self.assertEqual(self.missed({"write/1x1": {"ratio_min": 4}, "read/1x1": {"ratio_max": 0.5}},
                                     write_1x1=4.0, read_1x1=0.5), [])

    def test_a_bar_that_is_missed_says_by_how_much(self):
        self.assertEqual(self.missed({"write/1x1": {"ratio_min": 4}}, write_1x1=3.99), ["write/1x1: 3.99, at least 4"])
        self.assertEqual(self.missed({"read/1x1": {"ratio_max": 0.5}}, read_1x1=0.51), ["read/1x1: 0.51, at most 0.5"])

    def test_no_ratio_is_no_success(self):
        for bar in ({"ratio_min": 4}, {"ratio_max": 4}):
            self.assertEqual(len(self.missed({"write/1x1": bar}, write_1x1=math.nan)), 1)

    def test_what_was_asked_for_and_not_measured_is_missed(self):
        bars = {"write/1x1": {"ratio_min": 4}, "keys/write/16x16": {"ratio_min": 4}, "log/append-64": {"ratio_min": 2}}
        self.assertEqual(self.missed(bars), ["write/1x1: not measured"])
        self.assertEqual(self.missed(bars, prefixes=["keys/"]), ["keys/write/16x16: not measured"])

    def test_the_bars_of_the_repository_can_be_read(self):
        sentences = Figures().missed(ROOT / "Docs" / "Bars.json", ["write/", "read/", "tls/", "forwarded/", "keys/"])
        self.assertIn("write/16x16: not measured", sentences)


class Metrics(unittest.TestCase):
    PAGE = """\
# HELP grpc_server_handled_total Total number of RPCs.
# TYPE grpc_server_handled_total counter
grpc_server_handled_total{grpc_code="OK",grpc_method="Put",grpc_type="unary"} 2000
grpc_server_handled_total{grpc_code="OK",grpc_method="Range",grpc_type="unary"} 30
grpc_server_handled_total{grpc_code="Unknown",grpc_method="Put",grpc_type="unary"} 1

grpc_server_handled_total_other 5
etcd_debugging_mvcc_current_revision 2.000001e+06
"""

    def test_samples_are_summed_by_labels(self):
        page = metrics.parse(self.PAGE)
        self.assertEqual(metrics.total(page, "grpc_server_handled_total"), 2031)
        self.assertEqual(
            metrics.total(page, "grpc_server_handled_total", 'grpc_method="Put"', 'grpc_code="OK"'), 2000)
        self.assertEqual(metrics.total(page, "etcd_debugging_mvcc_current_revision"), 2000001)

    def test_what_is_not_there_is_zero(self):
        self.assertEqual(metrics.total(metrics.parse(self.PAGE), "no_such_metric"), 0)


class Machine(unittest.TestCase):
    def test_steal_is_its_share_of_all_time(self):
        self.assertEqual(machine.steal((1000, 10), (1200, 20)), 0.05)
        self.assertEqual(machine.steal((1000, 10), (1000, 10)), 0)

    def test_ports_in_use_are_passed_over(self):
        with socket.socket() as one:
            one.bind(("127.0.0.1", machine.free_ports(1, first=24100)[0]))
            one.listen()
            ports = machine.free_ports(3, first=one.getsockname()[1])
            self.assertNotIn(one.getsockname()[1], ports)
            self.assertEqual(len(set(ports)), 3)

    def test_memory_is_that_of_the_process(self):
        me = types.SimpleNamespace(pid=os.getpid())
        before = machine.memory_peak(me)
        self.assertGreater(before, 1 << 20)
        block = b"x" * (before + (64 << 20))
        self.assertGreater(machine.memory_peak(me), before + (32 << 20))
        self.assertGreater(len(block), before)

    def test_processor_time_is_that_of_the_process(self):
        before = machine.processor_seconds([types.SimpleNamespace(pid=os.getpid())])
        sum(range(3_000_000))
        self.assertGreater(machine.processor_seconds([types.SimpleNamespace(pid=os.getpid())]), before)


class Counters(unittest.TestCase):
    request = Request("FileStore", [], "http://127.0.0.1:1/", [], None, dict, True)

    def test_each_must_rise_by_the_number_of_requests(self):
        runs.check_counters(self.request, {"a": 5, "b": 0}, {"a": 105, "b": 100}, 100)
        for after in ({"a": 104, "b": 100}, {"a": 105, "b": 101}, {"a": 5, "b": 100}):
            self.assertRaisesRegex(
                Failed, "100 requests, but . rose by", runs.check_counters, self.request, {"a": 5, "b": 0}, after, 100)

    def test_a_flush_serves_at_most_what_was_in_flight(self):
        runs.check_flushes(self.request, 7, 100, (4, 4))
        self.assertRaisesRegex(Failed, "only 6 flushes", runs.check_flushes, self.request, 6, 100, (4, 4))
        self.assertRaisesRegex(Failed, "only 99 flushes", runs.check_flushes, self.request, 99, 100, (1, 1))


class Runner(unittest.TestCase):
    """With h2load, the machine and the servers replaced."""

    def run_with(self, steals, request_of, flushes=10**9, rate=1000.0):
        """A run in which the shares of `steals` are stolen, one after the other; the runner and h2load's counts."""
        counts, ticks = [], iter([pair for share in steals for pair in ((0, 0), (100, 100 * share))])
        moments = iter([0, flushes] * 20)

        def answer(_request, _connections, _streams, count):
            counts.append(count)
            return h2load.Result(rate, 1e-3, 2e-3)

        with mock.patch.object(h2load, "run", answer), mock.patch.object(machine, "ticks", lambda: next(ticks)), \
                mock.patch.object(machine, "flushes", lambda: next(moments)):
            runner = runs.Runner(types.SimpleNamespace(check=lambda: None), seconds=3.0)
            runner.run(request_of(counts), (4, 4))
        return runner, counts

    def counting(self, factor=1):
        """A request at a server that counts `factor` for each request."""
        def make(counts):
            return Request("FileStore", [], "u", [], None, lambda: {"commands": factor * sum(counts)}, True)
        return make

    def test_the_first_run_tells_how_many_requests_fill_the_time(self):
        runner, counts = self.run_with([0.0], self.counting())
        self.assertEqual(counts, [160, 3000])
        self.assertEqual((runner.runs, runner.repeats, runner.spoiled), (2, 0, 0))

    def test_a_run_with_stolen_time_is_repeated(self):
        runner, counts = self.run_with([0.06, 0.5, 0.05], self.counting())
        self.assertEqual((len(counts), runner.repeats, runner.spoiled), (4, 2, 0))

    def test_time_that_is_always_stolen_is_reported(self):
        runner, counts = self.run_with([0.5] * 5, self.counting())
        self.assertEqual((len(counts), runner.repeats, runner.spoiled), (6, 5, 1))

    def test_a_server_that_counts_otherwise_fails_the_run(self):
        for factor in (0, 2):
            self.assertRaisesRegex(
                Failed, "160 requests, but commands rose", self.run_with, [0.0], self.counting(factor))

    def test_writes_without_flushes_fail_the_run(self):
        self.assertRaisesRegex(Failed, "only 9 flushes", self.run_with, [0.0], self.counting(), flushes=9)


class EtcdMessages(unittest.TestCase):
    def test_a_put_is_framed(self):
        message = etcd.field(1, b"key") + etcd.field(2, b"v")
        self.assertEqual(etcd.grpc(message), bytes.fromhex("0000000008 0a036b6579 120176".replace(" ", "")))


class Keys(unittest.TestCase):
    LINE = ('{"name":"keys/write/16x16","value":60000,"unit":"1/s","reference":"etcd","reference_value":6000,'
            '"ratio":10.00}\n')

    def test_figures_are_read(self):
        self.assertEqual([figure["value"] for figure in keys.parse(self.LINE * 2)], [60000, 60000])

    def test_anything_else_is_no_result(self):
        for output in ("", "no figures\n", self.LINE + "{", '{"name":"keys/write/16x16","value":1,"unit":"1/s"}\n'):
            self.assertRaises(Failed, keys.parse, output)

    def test_fsbench_gets_leaders_and_processes(self):
        children = [types.SimpleNamespace(pid=pid) for pid in (11, 12, 13)]
        store = types.SimpleNamespace(
            leader=lambda: 2, address=lambda node: f"http://127.0.0.1:{100 + node}", children=children)
        other = types.SimpleNamespace(leader=lambda: 1, plain=[200, 201, 202], children=children[:2])
        options = types.SimpleNamespace(keys=1000, rounds=2, seconds=0.5)
        self.assertEqual(
            " ".join(keys.arguments("fsbench", store, other, options, "/t")),
            "fsbench keys --filestore http://127.0.0.1:102 --token-file /t --etcd http://127.0.0.1:201 --keys 1000")
        self.assertEqual(
            " ".join(keys.measuring(store, other, options)),
            "--filled --json --filestore-pids 11,12,13 --etcd-pids 11,12 --shapes 16x16 --rounds 2 --seconds 0.5")

    def test_etcd_is_restarted_between_filling_and_measuring(self):
        steps = []
        store = types.SimpleNamespace(leader=lambda: 0, address=lambda node: "", children=[], token="t")
        other = types.SimpleNamespace(
            leader=lambda: 0, plain=[1], children=[], restart=lambda: steps.append("restart"))
        options = types.SimpleNamespace(keys=1, rounds=1, seconds=1)

        def call(arguments):
            steps.append("fill" if "--fill-only" in arguments else "measure")
            return self.LINE

        with tempfile.TemporaryDirectory() as store.path, mock.patch.object(keys, "call", call):
            self.assertEqual(len(keys.run("fsbench", store, other, options)), 1)
        self.assertEqual(steps, ["fill", "restart", "measure"])

    def test_a_missing_fsbench_is_named(self):
        with mock.patch.dict(os.environ, {"FSBENCH": "/nowhere/fsbench"}):
            self.assertRaisesRegex(Missing, "--product fsbench", keys.program, str(ROOT))

    def test_a_failed_run_has_no_figures(self):
        with tempfile.TemporaryDirectory() as directory:
            store = types.SimpleNamespace(
                path=directory, token="secret", leader=lambda: 0, address=lambda node: "", children=[])
            other = types.SimpleNamespace(leader=lambda: 0, plain=[1], children=[])
            options = types.SimpleNamespace(keys=1, rounds=1, seconds=1)
            self.assertRaisesRegex(Failed, "ended with 1", keys.run, "/bin/false", store, other, options)
            self.assertEqual(os.stat(os.path.join(directory, "token")).st_mode & 0o777, 0o600)


class Options(unittest.TestCase):
    def options(self, *arguments):
        with mock.patch.object(sys, "argv", ["compare-etcd", *arguments]), \
                mock.patch.object(argparse.ArgumentParser, "_print_message"):
            return script.arguments()

    def parts(self, *arguments):
        comparison = script.Comparison.__new__(script.Comparison)
        comparison.options = self.options(*arguments)
        return comparison.parts()

    def test_shapes_are_connections_and_streams(self):
        self.assertEqual(script.shapes("1x1,16x32"), [(1, 1), (16, 32)])
        for text in ("", "1", "1x", "x1", "1x1x1", "0x1", "1x101", "1001x1", "1x1,"):
            self.assertRaises(ValueError, script.shapes, text)

    def test_quick_leaves_random_keys_out(self):
        self.assertEqual(self.options().keys, 2_000_000)
        self.assertEqual(self.options("--quick").keys, 0)
        self.assertEqual(self.options("--quick", "--keys", "5").keys, 5)
        self.assertEqual(self.options("--quick", "--only-keys").keys, 2_000_000)

    def test_what_makes_no_sense_is_refused(self):
        for arguments in (("--keys", "-1"), ("--only-keys", "--keys", "0"), ("--seconds", "0"), ("--rounds", "0")):
            with self.assertRaises(SystemExit) as refusal:
                self.options(*arguments)
            self.assertEqual(refusal.exception.code, 2)

    def test_bars_count_for_the_parts_that_were_asked_for(self):
        self.assertEqual(self.parts(), ["write/", "read/", "forwarded/", "tls/", "keys/"])
        self.assertEqual(self.parts("--no-tls", "--keys", "0"), ["write/", "read/", "forwarded/"])
        self.assertEqual(self.parts("--only-keys"), ["keys/"])


if __name__ == "__main__":
    unittest.main()
