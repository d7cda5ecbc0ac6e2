"""Three etcd nodes on loopback, from Debian's etcd-server, and its gRPC calls as h2load can send them."""

import glob
import os
import shutil
import struct
import subprocess

from . import metrics
from .failures import Failed, Missing
from .machine import free_ports
from .request import Request

PACKAGE = "etcd-server"


def program(directory):
    """etcd's program: the installed one, or out of the package unpacked below `directory`. Installing the package would
    start a service; unpacking it does not."""
    installed = shutil.which("etcd")
    if installed:
        return installed
    try:
        subprocess.run(
            ["apt-get", "download", "-q", PACKAGE], cwd=directory, check=True, capture_output=True, timeout=300)
        archive = glob.glob(os.path.join(directory, f"{PACKAGE}_*.deb"))[0]
        subprocess.run(["dpkg-deb", "-x", archive, os.path.join(directory, "etcd")], check=True, capture_output=True)
    except (OSError, IndexError, subprocess.SubprocessError) as error:
        raise Missing(f"etcd is missing and cannot be fetched ({error}): apt-get update && apt-get install {PACKAGE}")
    return os.path.join(directory, "etcd", "usr", "bin", "etcd")


def field(number, payload):
    """A length-delimited field of protobuf, shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(payload)]) + payload


def grpc(message):
    """One message: not compressed, its length, its bytes."""
    return struct.pack(">BI", 0, len(message)) + message


class Etcd:
    """`certificate` and `key` are for clients by TLS, beside plain text; `arguments` are further ones of etcd's."""

    def __init__(self, program, directory, processes, certificate, key, arguments=()):
        self.program, self.directory, self.processes, self.children = program, directory, processes, []
        ports = free_ports(9, first=23300)
        self.plain, self.tls, self.peers = ports[0:3], ports[3:6], ports[6:9]
        self.arguments = ["--cert-file", certificate, "--key-file", key, *arguments]
        self.start()

    def start(self):
        for i in range(3):
            self.children.append(self.processes.start(
                f"etcd e{i}", [self.program] + self.member(i) + self.arguments,
                os.path.join(self.directory, f"e{i}.log")))
        # With millions of keys it reads its index first.
        self.processes.wait(self.leader_or_none, "etcd has a leader", seconds=120)

    def member(self, i):
        peers = [f"http://127.0.0.1:{port}" for port in self.peers]
        plain, members = f"http://127.0.0.1:{self.plain[i]}", ",".join(f"e{k}={peers[k]}" for k in range(3))
        return ["--name", f"e{i}", "--data-dir", os.path.join(self.directory, f"e{i}"), "--logger", "zap",
                "--log-outputs", "stderr", "--initial-cluster", members, "--initial-cluster-state", "new",
                "--listen-peer-urls", peers[i], "--initial-advertise-peer-urls", peers[i],
                "--listen-client-urls", f"{plain},https://127.0.0.1:{self.tls[i]}", "--advertise-client-urls", plain]

    def restart(self):
        """All three, with what they have on disk."""
        self.processes.stop(self.children)
        self.children = []
        self.start()

    def samples(self, node):
        return metrics.fetch(f"http://127.0.0.1:{self.plain[node]}/metrics")

    def leader_or_none(self):
        """(number,) of the leading node, once all three have one."""
        pages = [self.samples(node) for node in range(3)]
        if any(metrics.total(page, "etcd_server_has_leader") != 1 for page in pages):
            return None
        leaders = [i for i, page in enumerate(pages) if metrics.total(page, "etcd_server_is_leader") == 1]
        return (leaders[0],) if len(leaders) == 1 else None

    def leader(self):
        found = self.leader_or_none()
        if not found:
            raise Failed("etcd has no leader")
        return found[0]

    def write_body(self, name, content):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def request(self, is_write, key, value, node, tls=False):
        """KV/Put, or a linearizable KV/Range, of one key at a node."""
        method = "Put" if is_write else "Range"
        message = field(1, key) + (field(2, value) if is_write else b"")
        body = self.write_body(method, grpc(message))
        address = f"https://127.0.0.1:{self.tls[node]}" if tls else f"http://127.0.0.1:{self.plain[node]}"
        headers = ["content-type: application/grpc", "te: trailers"]

        def counters():
            page = self.samples(node)
            counts = {
                f"answers OK to {method}": metrics.total(
                    page, "grpc_server_handled_total", f'grpc_method="{method}"', 'grpc_code="OK"')}
            if is_write:
                counts["revision"] = metrics.total(
                    self.samples(self.leader()), "etcd_debugging_mvcc_current_revision")
            return counts

        return Request("etcd", self.children, f"{address}/etcdserverpb.KV/{method}", headers, body, counters, is_write)
