"""Runs in turn: how many requests, what must have been counted afterwards, again when the host stole time."""

from . import h2load, machine
from .failures import Failed

REPEATS_MAX = 5
REQUESTS_MAX = 2_000_000


class Runner:
    """Runs h2load against places. A run lasts about `seconds`: the number of requests follows from the last rate."""

    def __init__(self, processes, seconds):
        self.processes, self.seconds = processes, seconds
        self.rates = {}
        self.repeats = self.runs = self.spoiled = 0

    def run(self, request, shape):
        place = (request.uri, request.is_write, shape)
        if place not in self.rates:
            self.rates[place] = self.once(request, shape, max(100, 10 * shape[0] * shape[1])).rate
        for _ in range(REPEATS_MAX):
            count = max(shape[0] * shape[1], min(REQUESTS_MAX, int(self.rates[place] * self.seconds)))
            before = machine.ticks()
            result = self.once(request, shape, count)
            self.rates[place] = result.rate
            if machine.steal(before, machine.ticks()) <= machine.STEAL_MAX:
                return result
            self.repeats += 1
        self.spoiled += 1
        return result

    def once(self, request, shape, count):
        self.processes.check()
        counters, flushes = request.counters(), machine.flushes()
        processor = machine.processor_seconds(request.children)
        result = h2load.run(request, shape[0], shape[1], count)
        result.processor = (machine.processor_seconds(request.children) - processor) / count
        self.runs += 1
        check_counters(request, counters, request.counters(), count)
        if request.is_write:
            check_flushes(request, machine.flushes() - flushes, count, shape)
        return result


def check_counters(request, before, after, count):
    """h2load counts a gRPC error as a success. What the servers count has to be what was sent."""
    for name, value in after.items():
        if value - before[name] != count:
            raise Failed(f"{request.system}: {count} requests, but {name} rose by {value - before[name]:.0f}")


def check_flushes(request, rose, count, shape):
    """One flush makes at most those writes durable that were in flight."""
    least = -(-count // (shape[0] * shape[1]))
    if rose < least:
        raise Failed(f"{request.system}: {count} writes, {shape[0]} x {shape[1]} in flight, but only {rose} flushes")
