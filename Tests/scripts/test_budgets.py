"""Tests/Budgets/judge.py: what it reads of callgrind's files, and when it says no."""

import importlib.util
import io
import json
import os
import tempfile
import unittest
from contextlib import redirect_stdout

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
SPEC = importlib.util.spec_from_file_location("judge", os.path.join(ROOT, "Tests", "Budgets", "judge.py"))
judge = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(judge)

CALLGRIND = """\
# callgrind format
version: 1
events: Ir
fn=(1) $s4Node3get
16 1500
cfn=(2) malloc
calls=3 0
16 500

totals: 2000
"""
RUN = '{"path":"get","unit":"request","units":10,"allocations":10}'


class Counting(unittest.TestCase):
    def test_instructions_are_the_total(self):
        self.assertEqual(judge.instructions_of(CALLGRIND.splitlines(keepends=True)), 2000)

    def test_a_file_without_counts_is_no_figure_of_zero(self):
        for text in ("", "fn=(1) a\n", "totals: 0\n"):
            with self.assertRaises(judge.Unreadable):
                judge.instructions_of(text.splitlines(keepends=True))


class Judging(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.write("get.out", CALLGRIND)
        self.write("get.json", RUN)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as target:
            target.write(text)

    def path(self, name):
        return os.path.join(self.place.name, name)

    def run_judge(self, budgets, *arguments, paths=("get",)):
        if budgets is not None:
            self.write("budgets.json", json.dumps(budgets))
        out = io.StringIO()
        with redirect_stdout(out):
            code = judge.main([*arguments, self.path("budgets.json"), self.place.name, *paths])
        return code, out.getvalue()

    def test_on_the_budget_is_good(self):
        code, text = self.run_judge({"get": {"instructions": 200, "allocations": 1}})
        self.assertEqual(code, 0, text)
        self.assertRegex(text, r"get +200 +200 +1\.00 +1  request\n")

    def test_one_instruction_too_many_fails(self):
        code, text = self.run_judge({"get": {"instructions": 199, "allocations": 1}})
        self.assertEqual(code, 1)
        self.assertIn("FAIL: instructions 0.5 % above", text)

    def test_one_allocation_too_many_fails(self):
        code, text = self.run_judge({"get": {"instructions": 200, "allocations": 0.9}})
        self.assertEqual(code, 1)
        self.assertIn("FAIL: allocations 11.1 % above", text)

    def test_no_allocation_allowed_and_one_made_fails(self):
        self.assertEqual(self.run_judge({"get": {"instructions": 200, "allocations": 0}})[0], 1)

    def test_far_below_asks_for_a_lower_budget(self):
        for budget in ({"instructions": 230, "allocations": 1}, {"instructions": 200, "allocations": 1.2}):
            code, text = self.run_judge({"get": budget})
            self.assertEqual(code, 0)
            self.assertIn("lower that", text)

    def test_a_little_below_is_left_alone(self):
        code, text = self.run_judge({"get": {"instructions": 221, "allocations": 1.1}})
        self.assertEqual(code, 0)
        self.assertNotIn("lower that", text)

    def test_a_path_without_a_budget_fails(self):
        code, text = self.run_judge({})
        self.assertEqual(code, 1)
        self.assertIn("no budget", text)

    def test_a_budget_without_a_path_fails_when_all_were_run(self):
        budgets = {"get": {"instructions": 200, "allocations": 1}, "gone": {"instructions": 1, "allocations": 1}}
        self.assertEqual(self.run_judge(budgets)[0], 0)
        code, text = self.run_judge(budgets, "--all")
        self.assertEqual(code, 1)
        self.assertRegex(text, r"gone +FAIL")

    def test_what_cannot_be_read_fails(self):
        budgets = {"get": {"instructions": 200, "allocations": 1}, "put": {"instructions": 200, "allocations": 1}}
        self.assertEqual(self.run_judge(budgets, paths=("get", "put"))[0], 1)
        self.write("get.json", RUN.replace('"units":10', '"units":0'))
        self.assertEqual(self.run_judge(budgets)[0], 1)

    def test_set_leaves_five_percent(self):
        other = {"instructions": 7, "allocations": 7}
        self.assertEqual(self.run_judge({"other": other}, "--set")[0], 0)
        self.assertEqual(self.budgets(), {"other": other, "get": {"instructions": 210, "allocations": 1.05}})
        self.assertEqual(self.run_judge(None, "--set", "--all")[0], 0)
        self.assertEqual(list(self.budgets()), ["get"])

    def budgets(self):
        with open(self.path("budgets.json"), encoding="utf-8") as source:
            return json.load(source)


class Shipped(unittest.TestCase):
    def test_the_budgets_are_whole_numbers_and_named_as_the_paths(self):
        with open(os.path.join(ROOT, "Tests", "Budgets", "budgets.json"), encoding="utf-8") as source:
            budgets = json.load(source)
        with open(os.path.join(ROOT, "Tests", "Budgets", "Program", "HotPath.swift"), encoding="utf-8") as source:
            program = source.read()
        self.assertGreater(len(budgets), 0)
        for path, budget in budgets.items():
            self.assertIn(f'PathEntry(name: "{path}"', program)
            self.assertEqual(set(budget), {"instructions", "allocations"})


if __name__ == "__main__":
    unittest.main()
