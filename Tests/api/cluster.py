"""A cluster of three real nodes for one test run, and a client for it that notes every error code it meets."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

FILESTORED = os.environ["FILESTORED"]
FSCLUSTER = os.environ["FSCLUSTER"]


def free_ports(count):
    """Consecutive ports that nobody uses now."""
    for first in range(21100, 32000, 10):
        sockets = []
        try:
            for port in range(first, first + count):
                one = socket.socket()
                sockets.append(one)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind(("127.0.0.1", port))
            return list(range(first, first + count))
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise RuntimeError("no free ports")


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Answer:
    def __init__(self, status, headers, body, trailers):
        self.status, self.headers, self.body, self.trailers = status, headers, body, trailers

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["code"] if self.status >= 400 else None


class Cluster:
    """Three nodes on 127.0.0.1, made by `fscluster init`, run by `filestored`."""

    seen_codes = {}

    def __init__(self, name="api"):
        self.directory = tempfile.mkdtemp(prefix="filestore-api-")
        self.path = os.path.join(self.directory, "cluster")
        self.ports = free_ports(3)
        arguments = [FSCLUSTER, "init", "--name", name]
        for port in self.ports:
            arguments += ["--node", f"127.0.0.1:{port}"]
        subprocess.run(arguments + [self.path], check=True, stdout=subprocess.DEVNULL)
        self.processes = {}
        # Settings of single nodes, as variables of the environment.
        self.settings = {}
        self.id = self._cluster_id()
        self.token = self.make_token("tester")

    def _cluster_id(self):
        text = subprocess.run(
            ["openssl", "x509", "-in", f"{self.path}/n1/node.pem", "-noout", "-ext", "subjectAltName"],
            check=True, capture_output=True, text=True).stdout
        return text.split("filestore://")[1].split("/")[0]

    # -- processes

    def start(self, *nodes):
        for node in nodes or (1, 2, 3):
            log = open(f"{self.path}/n{node}/out", "ab")
            self.processes[node] = subprocess.Popen(
                [FILESTORED, "--config", "config.yaml"], env={**os.environ, "FILESTORED_HISTORY_RETENTION": "1m", **self.settings.get(node, {})}, cwd=f"{self.path}/n{node}", stdout=log, stderr=log)
            log.close()

    def stop(self, node, number=signal.SIGTERM, wait=True):
        process = self.processes[node]
        process.send_signal(number)
        if wait:
            code = process.wait(timeout=40)
            del self.processes[node]
            assert number != signal.SIGTERM or code == 0, f"n{node} ended with {code}"

    def kill(self, *nodes):
        for node in nodes:
            self.stop(node, signal.SIGKILL)

    def kill_all(self):
        self.kill(*list(self.processes))

    def pause(self, node):
        self.processes[node].send_signal(signal.SIGSTOP)

    def resume(self, node):
        self.processes[node].send_signal(signal.SIGCONT)

    def destroy(self, keep):
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        if keep:
            print(f"logs: {self.path}/n*/out")
        else:
            shutil.rmtree(self.directory)

    def wait_ready(self, *nodes, seconds=30):
        for node in nodes or (1, 2, 3):
            self.wait(lambda: self.http1(node, "/readyz")[0] == 200, f"n{node} is ready", seconds)

    def wait(self, condition, what, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if condition():
                    return
            except (OSError, ValueError, AssertionError):
                pass
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {what}")

    def leader(self, ask=None):
        """The number of the leading node, once a majority says so."""
        found = []

        def known():
            for node in [ask] if ask else list(self.processes):
                answer = self.ask("GET", "/v1/cluster", node=node, note=False)
                if answer.status == 200 and "leader" in answer.json:
                    found[:] = [int(answer.json["leader"][1:])]
                    return found[0] in self.processes
            return False

        self.wait(known, "there is a leader")
        return found[0]

    def follower(self):
        return next(node for node in sorted(self.processes) if node != self.leader())

    # -- identities

    def make_token(self, user, seconds=3600, cluster=None, serial="", key=None, claims=None):
        key = key or f"{self.path}/ca/clients.key"
        serial = serial or os.urandom(16).hex()
        payload = claims if claims is not None else json.dumps(
            {"sub": user, "aud": cluster or self.id, "exp": int(time.time()) + seconds, "jti": serial},
            separators=(",", ":"))
        signed = f"fst1.{encode(payload.encode())}"
        signature = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", key], input=signed.encode(), check=True, capture_output=True).stdout
        return f"{signed}.{encode(signature)}"

    def make_key(self, name):
        path = os.path.join(self.directory, name)
        subprocess.run(
            ["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", path], check=True,
            stderr=subprocess.DEVNULL)
        return path

    def make_authority(self, name):
        """A CA that nobody here knows."""
        key = self.make_key(f"{name}.key")
        certificate = os.path.join(self.directory, f"{name}.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-new", "-key", key, "-subj", f"/CN={name}", "-days", "2", "-out", certificate],
            check=True, stderr=subprocess.DEVNULL)
        return certificate, key

    def make_certificate(self, name, authority=None, expired=False, extensions="extendedKeyUsage=clientAuth"):
        """A leaf signed by an authority (certificate, key), by default that of clients. Returns both files and the serial."""
        authority = authority or (f"{self.path}/ca/clients.pem", f"{self.path}/ca/clients.key")
        key = self.make_key(f"{name}.key")
        certificate = os.path.join(self.directory, f"{name}.pem")
        request = subprocess.run(
            ["openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}"], check=True, capture_output=True).stdout
        # Of an odd number of digits, so that tools print a zero in front, and with letters.
        serial = "a" + os.urandom(7).hex()
        folder = os.path.join(self.directory, f"ca-{name}")
        os.makedirs(folder)
        open(os.path.join(folder, "index"), "w").close()
        with open(os.path.join(folder, "serial"), "w") as file:
            file.write("0" + serial)
        with open(os.path.join(folder, "cnf"), "w") as file:
            file.write(
                f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\nserial={folder}/serial\nnew_certs_dir={folder}\n"
                f"default_md=sha256\npolicy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\n"
                f"basicConstraints=critical,CA:FALSE\n{extensions}\n")
        dates = ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"] if expired else ["-days", "2"]
        subprocess.run(
            ["openssl", "ca", "-batch", "-notext", "-config", os.path.join(folder, "cnf"), "-cert", authority[0], "-keyfile",
             authority[1], "-in", "/dev/stdin", "-out", certificate] + dates,
            input=request, check=True, stderr=subprocess.DEVNULL)
        return certificate, key, serial

    # -- requests

    def url(self, node, path):
        return f"https://127.0.0.1:{self.ports[node - 1]}{path}"

    def curl(self, *arguments, data=None):
        return subprocess.run(["curl", "-sS", "-g", "--path-as-is", *arguments], input=data, capture_output=True, timeout=60)

    def ask(self, method, path, body=None, headers=None, node=1, token="", certificate=None, note=True):
        """One request over HTTP/2. `token` None: without identity."""
        head = os.path.join(self.directory, f"head-{os.getpid()}-{time.monotonic_ns()}")
        arguments = ["--http2", "--cacert", f"{self.path}/ca/nodes.pem", "-D", head, "-X", method]
        if method == "HEAD":
            arguments = arguments[:-2] + ["-I"]
        if token is not None:
            arguments += ["-H", f"authorization: Bearer {token or self.token}"]
        if certificate:
            arguments += ["--cert", certificate[0], "--key", certificate[1]]
        data = body
        if isinstance(body, (dict, list)):
            data = json.dumps(body)
        if isinstance(data, str):
            data = data.encode()
        given = {name.lower() for name in headers or {}}
        if data is not None:
            arguments += ["--data-binary", "@-"]
            if "content-type" not in given:
                arguments += ["-H", "content-type: application/json"]
        for name, value in (headers or {}).items():
            arguments += ["-H", f"{name}: {value}" if value is not None else f"{name}:"]
        done = self.curl(*arguments, self.url(node, path), data=data)
        if done.returncode != 0:
            raise ConnectionError(f"curl ended with {done.returncode}: {method} {path}")
        answer = self._read(head, b"" if method == "HEAD" else done.stdout)
        if note and answer.status >= 400:
            self.check_problem(answer)
        return answer

    def _read(self, head, body):
        with open(head, encoding="latin-1") as file:
            blocks = [block for block in file.read().replace("\r", "").split("\n\n") if block.strip()]
        os.unlink(head)
        lines = blocks[0].split("\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        trailers = {}
        for block in blocks[1:]:
            trailers.update(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        return Answer(int(lines[0].split()[1]), fields, body, trailers)

    def check_problem(self, answer):
        """Every answer of 400 and above has the same shape."""
        assert answer.headers.get("content-type") == "application/problem+json", (answer.status, answer.headers, answer.body)
        problem = answer.json
        for field in ("type", "title", "status", "detail", "code", "retry", "request_id"):
            assert problem.get(field), (field, problem)
        assert problem["type"] == "urn:filestore:" + problem["code"], problem
        assert problem["status"] == answer.status, problem
        assert problem["retry"] in ("never", "later", "elsewhere", "unknown"), problem
        if problem["code"] == "overloaded":
            assert "retry-after" in answer.headers, answer.headers
        self.seen_codes.setdefault(problem["code"], (answer.status, problem["retry"]))

    def http1(self, node, path, method="GET"):
        """Over HTTP/1.1, as a probe does: status and body."""
        done = self.curl(
            "--http1.1", "--cacert", f"{self.path}/ca/nodes.pem", "-X", method, "-w", "\n%{http_code}", self.url(node, path))
        body, _, status = done.stdout.rpartition(b"\n")
        if int(status or 0) == 0:
            body = f"curl ended with {done.returncode}: {done.stderr.decode()}".encode()
        return int(status or 0), body

    def metric(self, node, name):
        for line in self.http1(node, "/metrics")[1].decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        raise AssertionError(f"there is no metric {name}")

    def metric_sum(self, node, name):
        lines = self.http1(node, "/metrics")[1].decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name + "{"))

    def handshake_failures(self, node, cause):
        return self.metric(node, f'filestore_handshake_failures_total{{cause="{cause}"}}')

    def replicas(self, node):
        nodes = self.ask("GET", "/v1/nodes", node=node).json["nodes"]
        return {one["id"]: one["replicas"][0] for one in nodes if one["replicas"]}

    def wait_equal(self, node, seconds=30):
        """All replicas have applied the same entries and hold the same state."""

        def equal():
            found = self.replicas(node)
            states = {(one["applied_index"], one["state_hash"]) for one in found.values()}
            return len(found) == 3 and len(states) == 1 and None not in next(iter(states))

        self.wait(equal, "all replicas are equal", seconds)
