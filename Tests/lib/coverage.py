#!/usr/bin/env python3
"""Prints the line coverage of each target from an export of llvm-cov; exits 1 below a minimum.

    Tests/lib/coverage.py [--minimum PERCENT] [--root DIRECTORY] REPORT.json
"""

import argparse
import json
import os
import sys


def by_target(report, root):
    """Lines reached and lines at all of each directory of ROOT/Sources."""
    targets = {}
    prefix = os.path.join(os.path.realpath(root), "Sources") + os.sep
    for export in report["data"]:
        for file in export["files"]:
            path = os.path.realpath(file["filename"])
            if not path.startswith(prefix):
                continue
            lines = file["summary"]["lines"]
            covered, count = targets.get(path[len(prefix):].split(os.sep)[0], (0, 0))
            targets[path[len(prefix):].split(os.sep)[0]] = (covered + lines["covered"], count + lines["count"])
    return targets


def percent(covered, count):
    return 100.0 * covered / count if count else 100.0


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minimum", type=float, default=0.0)
    parser.add_argument("--root", default=".")
    parser.add_argument("report")
    options = parser.parse_args(arguments)
    with open(options.report, encoding="utf-8") as source:
        targets = by_target(json.load(source), options.root)
    if not targets:
        print("the report names no file of Sources")
        return 1
    for name in sorted(targets):
        covered, count = targets[name]
        print(f"{name:20} {covered:7} of {count:7} lines {percent(covered, count):6.1f} %")
    total = percent(sum(t[0] for t in targets.values()), sum(t[1] for t in targets.values()))
    print(f"{'all':20} {total:.1f} %, at least {options.minimum:.1f} % asked")
    return 0 if total >= options.minimum else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
