"""Figures: medians over rounds, the table, `--json` lines and the bars of Docs/Bars.json."""

import json
import math
import statistics


def number(value):
    """Four significant digits, in plain decimals."""
    if not value or not math.isfinite(value):
        return 0
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    return round(value, digits) if digits else round(value)


class Figure:
    """A value of ours and the reference's. `value` and `reference_value` are medians of rounds."""

    def __init__(self, name, unit, reference):
        self.name, self.unit, self.reference = name, unit, reference
        self.ours, self.theirs = [], []

    def add(self, ours, theirs):
        self.ours.append(ours)
        self.theirs.append(theirs)

    @property
    def value(self):
        return statistics.median(self.ours)

    @property
    def reference_value(self):
        return statistics.median(self.theirs)

    @property
    def ratio(self):
        return self.value / self.reference_value if self.reference_value else math.nan

    def json(self):
        return json.dumps(
            {"name": self.name, "value": number(self.value), "unit": self.unit, "reference": self.reference,
             "reference_value": number(self.reference_value), "ratio": number(self.ratio)}, separators=(",", ":"))

    def readable(self, value):
        scales = [(1, "s"), (1e-3, "ms"), (1e-6, "µs")] if self.unit == "s" else [(1e3, "K/s"), (1, "/s")]
        size, name = next((scale for scale in scales if value >= scale[0]), scales[-1])
        return f"{value / size:.3g} {name}"

    def row(self):
        ours, theirs = self.readable(self.value), self.readable(self.reference_value)
        return f"{self.name:<32}{ours:>12}{theirs:>12}  {self.reference:<8}{self.ratio:>8.2f}"


class Figures:
    """All figures of a run, in the order in which they were first measured."""

    def __init__(self):
        self.all = {}

    def add(self, name, unit, reference, ours, theirs):
        self.all.setdefault(name, Figure(name, unit, reference)).add(ours, theirs)

    def table(self):
        head = f"{'':<32}{'FileStore':>12}{'reference':>12}  {'':<8}{'ratio':>8}"
        return "\n".join([head] + [figure.row() for figure in self.all.values()])

    def missed(self, path, prefixes):
        """A sentence for each bar that is missed, of those whose names begin with one of `prefixes`."""
        with open(path, encoding="utf-8") as file:
            bars = json.load(file)
        sentences = []
        for name, bar in sorted(bars.items()):
            if not name.startswith(tuple(prefixes)):
                continue
            figure = self.all.get(name)
            if figure is None:
                sentences.append(f"{name}: not measured")
            elif "ratio_min" in bar and not figure.ratio >= bar["ratio_min"]:
                sentences.append(f"{name}: {figure.ratio:.3g}, at least {bar['ratio_min']}")
            elif "ratio_max" in bar and not figure.ratio <= bar["ratio_max"]:
                sentences.append(f"{name}: {figure.ratio:.3g}, at most {bar['ratio_max']}")
        return sentences
