"""What the machine does meanwhile: stolen time, load, flushes of its disks; and child processes that end with us."""

import ctypes
import glob
import os
import signal
import socket
import subprocess
import time

from .failures import Failed

STEAL_MAX = 0.05
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def ticks():
    """(all, stolen) processor time since boot."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    return sum(fields), fields[7]


def steal(before, after):
    return (after[1] - before[1]) / max(1, after[0] - before[0])


def processor_seconds(children):
    """Processor time that these processes have used."""
    total = 0
    for child in children:
        with open(f"/proc/{child.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def memory_peak(child):
    """The most memory that a process has had resident, in bytes."""
    with open(f"/proc/{child.pid}/status", encoding="utf-8") as file:
        peak = next(line for line in file if line.startswith("VmHWM:"))
    return int(peak.split()[1]) << 10


def load():
    with open("/proc/loadavg", encoding="ascii") as file:
        return file.read().split()[0]


def flushes():
    """Flushes of all disks: io_uring's durable writes are no system calls that could be traced, but these show."""
    total = 0
    for path in glob.glob("/sys/block/*/stat"):
        with open(path, encoding="ascii") as file:
            fields = file.read().split()
        total += int(fields[15]) if len(fields) > 15 else 0
    return total


def free_ports(count, first=23100):
    """Ports of 127.0.0.1 that nobody uses now."""
    found = []
    for port in range(first, 32000):
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise Failed("there are no free ports")


class Processes:
    """Children of ours. They end with us, however we end."""

    def __init__(self):
        self.children = []

    def start(self, name, arguments, log, cwd=None):
        with open(log, "ab") as output:
            child = subprocess.Popen(
                arguments, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                preexec_fn=lambda: _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
        child.name, child.log = name, log
        self.children.append(child)
        return child

    def stop(self, children):
        """SIGTERM, and SIGKILL to those who do not listen."""
        for child in children:
            if child.poll() is None:
                child.terminate()
        end = time.monotonic() + 10
        for child in children:
            try:
                child.wait(timeout=max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            self.children.remove(child)

    def stop_all(self):
        self.stop(list(self.children))

    def check(self):
        for child in self.children:
            if child.poll() is not None:
                raise Failed(f"{child.name} ended with {child.returncode}:\n{last_lines(child.log)}")

    def wait(self, condition, what, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.check()
            try:
                found = condition()
                if found:
                    return found
            except (OSError, ValueError):
                pass
            time.sleep(0.05)
        logs = "\n".join(f"{child.name}: {last_lines(child.log)}" for child in self.children)
        raise Failed(f"not within {seconds} s: {what}\n{logs}")


def last_lines(path, count=5):
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        return "".join(file.readlines()[-count:])
