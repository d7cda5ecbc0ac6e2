"""Writers that go on whatever comes, and a list of what was acknowledged to them."""

import threading


class Ledger:
    """Inside `with`, a thread for each node of `nodes` writes rows with keys of their own to table `t`."""

    def __init__(self, cluster, nodes):
        self.cluster = cluster
        self.acknowledged = {}
        self.wrong = []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(node,)) for node in nodes]

    def _write(self, node):
        number = 0
        while not self._stopped.is_set():
            number += 1
            key = f"ledger-{node}-{number}"
            try:
                answer = self.cluster.ask(
                    "PUT", f"/v1/tables/t/rows/{key}", {"r": number}, {"fs-timeout-ms": "2000"}, node=node)
            except OSError:
                continue
            except AssertionError as error:
                self.wrong.append(error)
                return
            if answer.status < 300:
                self.acknowledged[key] = number

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        if self.wrong:
            raise self.wrong[0]

    def wait_for(self, more, seconds=10):
        """Until so many more writes were acknowledged."""
        wanted = len(self.acknowledged) + more
        self.cluster.wait(lambda: len(self.acknowledged) >= wanted, f"{more} more writes are acknowledged", seconds)

    def missing(self, node):
        """Which acknowledged writes cannot be read at a node as they were written."""
        found = {}
        keys = list(self.acknowledged)
        for start in range(0, len(keys), 500):
            part = keys[start:start + 500]
            rows = self.cluster.ask("POST", "/v1/lookup", {"table": "t", "keys": part, "columns": ["r"]}, node=node).json["rows"]
            found.update({key: row and row["r"] for key, row in zip(part, rows)})
        return [key for key in keys if found[key] != self.acknowledged[key]]
