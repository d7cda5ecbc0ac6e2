#!/usr/bin/env python3
"""Compares what callgrind counted with the budgets; exits 1 when one is exceeded or missing.

    Tests/Budgets/judge.py [--set] [--all] BUDGETS.json DIRECTORY PATH...

For each path, DIRECTORY holds PATH.out (callgrind's) and PATH.json (the program's: units and allocations). A budget is
instructions and allocations for a unit: {"get": {"instructions": 50000, "allocations": 60}}. --all: the paths are all there are, so a budget for
another one is an error. --set writes budgets 5 % above what was measured, and with --all drops the others.
"""

import argparse
import json
import math
import os
import sys

MARGIN = 1.05
# Below this part of its budget a figure asks for a smaller one.
LOOSE = 0.90


class Unreadable(Exception):
    pass


def instructions_of(lines):
    """The sum of a callgrind file."""
    for line in lines:
        if line.startswith("totals:") and int(line.split()[1]) > 0:
            return int(line.split()[1])
    raise Unreadable("it has no counts")


def measure(directory, path):
    """Instructions and allocations for a unit, and what the unit is."""
    with open(os.path.join(directory, path + ".json"), encoding="utf-8") as source:
        run = json.load(source)
    with open(os.path.join(directory, path + ".out"), encoding="utf-8", errors="replace") as source:
        instructions = instructions_of(source)
    return instructions / run["units"], run["allocations"] / run["units"], run["unit"]


def budget_of(instructions, allocations):
    return {"instructions": math.ceil(instructions * MARGIN), "allocations": math.ceil(allocations * MARGIN * 100) / 100}


def judge(figures, budgets, everything):
    """Lines to print, and whether all is well."""
    lines = [f"{'path':16}{'instructions':>13}{'budget':>9}{'allocations':>13}{'budget':>9}  for each"]
    good = True
    for path, (instructions, allocations, unit) in figures.items():
        budget = budgets.get(path)
        if budget is None:
            lines.append(f"{path:16}{instructions:13.0f}{'none':>9}{allocations:13.2f}{'none':>9}  {unit}: FAIL: it has no budget")
            good = False
            continue
        remark = remark_on(instructions, allocations, budget)
        good = good and "FAIL" not in remark
        lines.append(
            f"{path:16}{instructions:13.0f}{budget['instructions']:9}{allocations:13.2f}{budget['allocations']:9}  {unit}{remark}")
    if everything:
        for path in sorted(set(budgets) - set(figures)):
            lines.append(f"{path:16}FAIL: it has a budget and is not there")
            good = False
    return lines, good


def remark_on(instructions, allocations, budget):
    over = [
        f"{name} {100 * (figure / budget[name] - 1) if budget[name] else math.inf:.1f} % above the budget"
        for name, figure in (("instructions", instructions), ("allocations", allocations))
        if figure > budget[name]
    ]
    if over:
        return ": FAIL: " + ", ".join(over)
    if instructions < LOOSE * budget["instructions"] or allocations + 0.01 < LOOSE * budget["allocations"]:
        return ": far below its budget; lower that: Tests/Budgets/run --set"
    return ""


def changed(budgets, figures, everything):
    made = {} if everything else dict(budgets)
    for path, (instructions, allocations, _) in figures.items():
        made[path] = budget_of(instructions, allocations)
    return made


def text_of(budgets):
    lines = [f"  {json.dumps(path)}: {json.dumps(budget)}" for path, budget in budgets.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--set", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("budgets")
    parser.add_argument("directory")
    parser.add_argument("paths", nargs="+")
    options = parser.parse_args(arguments)
    budgets = {}
    if os.path.exists(options.budgets) or not options.set:
        with open(options.budgets, encoding="utf-8") as source:
            budgets = json.load(source)
    figures = {}
    for path in options.paths:
        try:
            figures[path] = measure(options.directory, path)
        except (OSError, ValueError, KeyError, ZeroDivisionError, Unreadable) as problem:
            print(f"{path}: FAIL: its counts cannot be read: {problem}")
            return 1
    if options.set:
        budgets = changed(budgets, figures, options.all)
        with open(options.budgets, "w", encoding="utf-8") as target:
            target.write(text_of(budgets))
    lines, good = judge(figures, budgets, options.all)
    print("\n".join(lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
