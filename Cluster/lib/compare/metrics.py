"""Prometheus pages, as both systems serve them by HTTP/1.1."""

import urllib.request


def fetch(url, context=None):
    try:
        with urllib.request.urlopen(url, timeout=5, context=context) as answer:
            return parse(answer.read().decode())
    except OSError as error:
        raise OSError(f"{url}: {error}") from error


def parse(text):
    """All samples of a page: `name` or `name{label="value",…}` to number."""
    samples = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            samples[name] = float(value)
    return samples


def total(samples, name, *labels):
    """The sum over all samples of a name that carry these labels (`key="value"`)."""
    return sum(
        value for sample, value in samples.items()
        if sample.partition("{")[0] == name and all(label in sample for label in labels))
