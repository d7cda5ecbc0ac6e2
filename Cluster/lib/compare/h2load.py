"""One run of h2load: a fixed number of requests, so that what the servers count can be compared with it."""

import re
import subprocess

from .failures import Failed

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class Result:
    def __init__(self, rate, mean, worst):
        # Requests a second; seconds.
        self.rate, self.mean, self.worst = rate, mean, worst
        # Processor seconds of all nodes for one request, when somebody has counted them.
        self.processor = 0.0


def seconds(text):
    match = re.fullmatch(r"([0-9.]+)(us|ms|s)", text)
    if not match:
        raise Failed(f"h2load wrote a time that is none: {text}")
    return float(match[1]) * UNITS[match[2]]


def run(request, connections, streams, count):
    """`request` has uri, headers, and for a POST or PUT the file of its body. All answers must be 2xx."""
    arguments = ["h2load", "-n", str(count), "-c", str(connections), "-m", str(streams), "-t", "1"]
    for header in request.headers:
        arguments += ["-H", header]
    if request.body:
        arguments += ["-d", request.body]
    try:
        output = subprocess.run(
            arguments + [request.uri], capture_output=True, text=True, timeout=120, check=True).stdout
    except subprocess.TimeoutExpired:
        raise Failed(f"h2load did not end within 120 s: {request.uri}") from None
    except subprocess.CalledProcessError as error:
        raise Failed(f"h2load ended with {error.returncode}: {error.stderr}") from None
    return parse(output, count)


def parse(output, count):
    rate = re.search(r"^finished in [^,]+, ([0-9.]+) req/s", output, re.M)
    done = re.search(r"^requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output, re.M)
    codes = re.search(r"^status codes: (\d+) 2xx", output, re.M)
    times = re.search(r"^time for request:\s+(\S+)\s+(\S+)\s+(\S+)", output, re.M)
    if not (rate and done and codes and times):
        raise Failed(f"h2load's output is not understood:\n{output}")
    if int(done[1]) != count or int(codes[1]) != count:
        raise Failed(f"of {count} requests {done[1]} succeeded, {codes[1]} with 2xx:\n{output}")
    return Result(float(rate[1]), seconds(times[3]), seconds(times[2]))
