"""Random keys on both sides, by `fsbench keys`: it fills both, drives them in turn and checks their counters itself."""

import json
import os
import subprocess

from .failures import Failed, Missing

SHAPES = "16x16"
# 2 GiB by default, which the history of many rounds may reach.
ETCD_ARGUMENTS = ["--quota-backend-bytes", str(8 << 30)]
# A hundred rounds at their longest.
SECONDS_MAX = 15000


def program(root):
    """FSBENCH, by default that of .build/release."""
    path = os.environ.get("FSBENCH") or os.path.join(root, ".build", "release", "fsbench")
    if not os.access(path, os.X_OK):
        raise Missing(f"{path} is missing: swift build -c release --static-swift-stdlib --product fsbench (or leave it out by --keys 0)")
    return os.path.abspath(path)


def pids(children):
    return ",".join(str(child.pid) for child in children)


def arguments(fsbench, store, other, options, token_file):
    """`store` and `other` are the running FileStore and etcd."""
    return [
        fsbench, "keys", "--filestore", store.address(store.leader()), "--token-file", token_file,
        "--etcd", f"http://127.0.0.1:{other.plain[other.leader()]}", "--keys", str(options.keys)]


def measuring(store, other, options):
    """What follows when the keys are there."""
    return ["--filled", "--json", "--filestore-pids", pids(store.children), "--etcd-pids", pids(other.children),
            "--shapes", SHAPES, "--rounds", str(options.rounds), "--seconds", str(options.seconds)]


def parse(output):
    """fsbench's figures, a JSON object a line, each beside etcd's."""
    try:
        figures = [json.loads(line) for line in output.splitlines()]
    except ValueError as error:
        raise Failed(f"fsbench's figures are not understood: {error}\n{output}") from error
    if not figures or any(figure.get("reference") != "etcd" for figure in figures):
        raise Failed(f"fsbench printed no figures beside etcd's:\n{output}")
    return figures


def call(arguments):
    try:
        done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, timeout=SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"fsbench keys did not end within {SECONDS_MAX} s") from None
    if done.returncode != 0:
        raise Failed(f"fsbench keys ended with {done.returncode}")
    return done.stdout


def run(fsbench, store, other, options):
    """Fills both, restarts etcd (`fsbench keys --help` says why), measures."""
    token_file = os.path.join(store.path, "token")
    with open(os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(store.token)
    call(arguments(fsbench, store, other, options, token_file) + ["--fill-only"])
    other.restart()
    return parse(call(arguments(fsbench, store, other, options, token_file) + measuring(store, other, options)))
