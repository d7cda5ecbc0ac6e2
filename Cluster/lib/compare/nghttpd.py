"""nghttpd with one thread and one file: what HTTP/2 alone costs here."""

import os
import shutil

from .failures import Missing
from .machine import free_ports
from .request import Request


class Nghttpd:
    def __init__(self, directory, processes, content, certificate, key):
        if not shutil.which("nghttpd"):
            raise Missing("nghttpd is missing: apt-get install nghttp2-server")
        folder = os.path.join(directory, "nghttpd")
        os.makedirs(folder)
        with open(os.path.join(folder, "row"), "wb") as file:
            file.write(content)
        self.plain, self.tls = free_ports(2, first=23600)
        common = ["nghttpd", "-a", "127.0.0.1", "-n", "1", "-m", "1000", "-d", folder]
        log = os.path.join(directory, "nghttpd.log")
        self.children = [processes.start("nghttpd", common + ["--no-tls", str(self.plain)], log)]
        self.children.append(processes.start("nghttpd (TLS)", common + [str(self.tls), key, certificate], log))

    def request(self, tls):
        address = f"https://127.0.0.1:{self.tls}" if tls else f"http://127.0.0.1:{self.plain}"
        return Request("nghttpd", self.children, f"{address}/row", [], None, dict, False)
