"""Three FileStore nodes on loopback, made by `fscluster init`, run by `filestored`."""

import json
import os
import ssl
import subprocess

from . import metrics
from .failures import Failed, Missing
from .machine import free_ports
from .request import Request

TABLE = {
    "name": "compare",
    "columns": [{"name": "key", "type": "text"}, {"name": "value", "type": "text"}],
    "primary_key": ["key"],
}


def programs(root):
    """FILESTORED and FSCLUSTER, by default those of .build/release."""
    found = []
    for name in ["filestored", "fscluster"]:
        path = os.environ.get(name.upper()) or os.path.join(root, ".build", "release", name)
        if not os.access(path, os.X_OK):
            raise Missing(f"{path} is missing: swift build -c release --static-swift-stdlib --product {name}")
        found.append(os.path.abspath(path))
    return found


class FileStore:
    """`init` happens at once, so that its certificates can be used; the nodes run between `start` and `stop`, with further
    `arguments` of filestored's."""

    def __init__(self, programs, directory, processes, tls, arguments=()):
        self.filestored, self.fscluster = programs
        self.arguments = list(arguments)
        self.path = os.path.join(directory, "filestore-tls" if tls else "filestore")
        self.processes, self.tls, self.children = processes, tls, []
        self.ports = free_ports(3, first=23500 if tls else 23400)
        init = [self.fscluster, "init", "--name", "compare"]
        for port in self.ports:
            init += ["--node", f"127.0.0.1:{port}"]
        self.tool(init + ([] if tls else ["--insecure"]) + [self.path])
        self.token = self.tool(
            [self.fscluster, "token", "--user", "compare", "--expires", "1d", "--directory", self.path]).strip()
        self.context = ssl.create_default_context(cafile=f"{self.path}/ca/nodes.pem") if tls else None

    @staticmethod
    def tool(arguments):
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise Failed(f"{' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout

    def start(self):
        for node in range(3):
            folder = f"{self.path}/n{node + 1}"
            self.children.append(
                self.processes.start(
                    f"filestored n{node + 1}", [self.filestored, "--config", "config.yaml"] + self.arguments,
                    f"{folder}/log", folder))
        self.processes.wait(self.leader_or_none, "FileStore has a leader")
        status = self.call("POST", "/v1/tables", TABLE)
        if status != 201:
            raise Failed(f"the table was not made: status {status}")

    def stop(self):
        self.processes.stop(self.children)
        self.children = []

    def address(self, node):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.ports[node]}"

    def samples(self, node):
        return metrics.fetch(f"{self.address(node)}/metrics", self.context)

    def leader_or_none(self):
        """(number,) of the leading node, once all three are ready."""
        pages = [self.samples(node) for node in range(3)]
        if any(metrics.total(page, "filestore_ready") != 1 for page in pages):
            return None
        roles = [metrics.total(page, "filestore_raft_role", 'role="leader"') for page in pages]
        leaders = [i for i, role in enumerate(roles) if role == 1]
        return (leaders[0],) if len(leaders) == 1 else None

    def leader(self):
        found = self.leader_or_none()
        if not found:
            raise Failed("FileStore has no leader")
        return found[0]

    def call(self, method, path, body, node=None):
        """The status of one call, by curl."""
        node = self.leader() if node is None else node
        how = ["--http2", "--cacert", f"{self.path}/ca/nodes.pem"] if self.tls else ["--http2-prior-knowledge"]
        done = subprocess.run(
            ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *how, "-X", method, "-H",
             f"authorization: Bearer {self.token}", "-H", "content-type: application/json", "--data",
             json.dumps(body), self.address(node) + path], capture_output=True, text=True, timeout=30, check=False)
        if done.returncode != 0:
            raise Failed(f"curl: {done.stderr}")
        return int(done.stdout)

    def row(self, key, value):
        """The row as a read answers it."""
        return json.dumps({"key": key.decode(), "value": value.decode()}, separators=(",", ":")).encode()

    def request(self, is_write, key, value, node):
        """PUT, or a linearizable GET, of one row at a node, with a token each time."""
        headers = [f"authorization: Bearer {self.token}"]
        body = None
        if is_write:
            headers += [":method: PUT", "content-type: application/json"]
            body = os.path.join(self.path, "put.json")
            with open(body, "wb") as file:
                file.write(json.dumps({"value": value.decode()}, separators=(",", ":")).encode())

        def counters():
            if is_write:
                return {"commands applied": metrics.total(
                    self.samples(self.leader()), "filestore_commands_applied_total")}
            pages = [self.samples(i) for i in range(3)]
            return {"reads": sum(metrics.total(page, "filestore_reads_total") for page in pages)}

        uri = f"{self.address(node)}/v1/tables/{TABLE['name']}/rows/{key.decode()}"
        return Request("FileStore", self.children, uri, headers, body, counters, is_write)
