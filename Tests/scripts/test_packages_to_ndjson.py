"""Cluster/packages-to-ndjson: what it makes of a package index."""

import importlib.machinery
import importlib.util
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "Cluster" / "packages-to-ndjson"
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("packages_to_ndjson", str(SCRIPT))
spec = importlib.util.spec_from_loader(loader.name, loader)
module = importlib.util.module_from_spec(spec)
loader.exec_module(module)

INDEX = """\
Package: bash
Version: 5.2.15-2+b8
Essential: yes
Installed-Size: 7164
Maintainer: Matthias Klose <doko@debian.org>
Description: GNU Bourne Again SHell
 Bash is an sh-compatible command language interpreter.
 .
 "Quoted" & grün
Tag: admin::TODO,
 devel::interpreter
Section: shells
Size: 1491228

Package: g++
Version: 4:12.2.0-3

Package: bash
Version: 5.2.15-2+b10
Installed-Size: many
"""


def rows(text, **options):
    out = io.StringIO()
    module.write_rows(io.StringIO(text), out, options.get("generation", 0), options.get("limit"))
    return [json.loads(line) for line in out.getvalue().splitlines()]


class Rows(unittest.TestCase):
    def test_a_package_becomes_a_row(self):
        self.assertEqual(rows(INDEX[:INDEX.index("\nPackage: g++")], generation=3), [{
            "name": "bash", "version": "5.2.15-2+b8", "installed_size": 7164,
            "maintainer": "Matthias Klose <doko@debian.org>",
            "description": 'GNU Bourne Again SHell\nBash is an sh-compatible command language interpreter.\n\n'
                           '"Quoted" & grün',
            "tag": "admin::TODO, devel::interpreter", "section": "shells", "size": 1491228, "generation": 3,
        }])

    def test_the_newest_of_a_name_is_kept_at_its_first_place(self):
        self.assertEqual(
            rows(INDEX),
            [{"name": "bash", "version": "5.2.15-2+b10", "generation": 0},
             {"name": "g++", "version": "4:12.2.0-3", "generation": 0}])

    def test_an_older_version_that_comes_later_is_dropped(self):
        text = "Package: a\nVersion: 2\n\nPackage: a\nVersion: 1\n"
        self.assertEqual([row["version"] for row in rows(text)], ["2"])

    def test_a_limit_and_nothing(self):
        self.assertEqual(len(rows(INDEX, limit=1)), 1)
        self.assertEqual(rows("\n\nNonsense\n continued\n"), [])

    def test_a_line_is_one_line(self):
        out = io.StringIO()
        module.write_rows(io.StringIO(INDEX), out, 0, None)
        self.assertEqual(len(out.getvalue().splitlines()), 2)


class Versions(unittest.TestCase):
    ASCENDING = ["0~", "0", "1.0~rc1-1", "1.0", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.0a", "1.0+dfsg", "1.2", "1.10",
                 "1.10-2", "1.10-10", "2a-1", "1:0.1"]

    def test_versions_are_ordered_as_dpkg_orders_them(self):
        keys = [module.version_key(version) for version in self.ASCENDING]
        self.assertEqual(keys, sorted(keys))
        self.assertEqual(len(set(map(str, keys))), len(keys))

    @unittest.skipUnless(shutil.which("dpkg"), "there is no dpkg")
    def test_dpkg_agrees(self):
        for older, newer in zip(self.ASCENDING, self.ASCENDING[1:]):
            code = subprocess.run(["dpkg", "--compare-versions", older, "lt", newer], check=False).returncode
            self.assertEqual(code, 0, f"{older} < {newer}")


class Command(unittest.TestCase):
    def run_script(self, *arguments, given=b""):
        return subprocess.run([sys.executable, "-B", str(SCRIPT), *arguments], input=given, capture_output=True, check=False)

    def test_the_description_is_that_of_a_table(self):
        table = json.loads(self.run_script("--describe").stdout)
        self.assertEqual((table["name"], table["primary_key"]), ("packages", ["name"]))
        for column in table["columns"]:
            self.assertRegex(column["name"], re.compile(r"^[a-z_][a-z0-9_]{0,62}$"))
            self.assertIn(column["type"], ["text", "int64"])
        required = [column["name"] for column in table["columns"] if not column.get("nullable")]
        self.assertEqual(required, ["name", "version", "generation"])

    def test_every_column_of_a_row_is_described(self):
        described = {column["name"] for column in module.describe()["columns"]}
        for row in rows(INDEX):
            self.assertLessEqual(set(row), described)

    def test_bytes_that_are_not_utf_8_become_utf_8(self):
        result = self.run_script("-", given=b"Package: a\nVersion: 1\nMaintainer: J\xf6rg\n")
        self.assertEqual(result.returncode, 0)
        self.assertEqual(json.loads(result.stdout.decode("utf-8"))["maintainer"], "J�rg")

    def test_a_file_that_is_not_there_is_an_error(self):
        self.assertNotEqual(self.run_script("/nonexistent/index").returncode, 0)

    def test_an_empty_index_is_an_error(self):
        self.assertEqual(self.run_script("-").returncode, 2)


if __name__ == "__main__":
    unittest.main()
