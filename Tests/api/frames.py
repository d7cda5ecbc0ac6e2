"""Just enough HTTP/2 to misbehave: frames by hand over TLS, header blocks without compression."""

import socket
import ssl
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4


def connect(port, authority, alpn=("h2",), certificate=None, version=None):
    context = ssl.create_default_context(cafile=authority)
    context.check_hostname = False
    context.set_alpn_protocols(list(alpn))
    if version:
        context.maximum_version = version
    if certificate:
        context.load_cert_chain(*certificate)
    raw = socket.create_connection(("127.0.0.1", port), timeout=15)
    return context.wrap_socket(raw, server_hostname="localhost")


def literal(name, value):
    """A header field without indexing and without Huffman coding (RFC 7541, 6.2.2)."""
    def text(data):
        data = data if isinstance(data, bytes) else data.encode()
        if len(data) < 127:
            return bytes([len(data)]) + data
        rest, out = len(data) - 127, bytes([127])
        while rest >= 128:
            out += bytes([rest % 128 + 128])
            rest //= 128
        return out + bytes([rest]) + data
    return b"\0" + text(name) + text(value)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Connection:
    def __init__(self, port, authority, token):
        self.token = token
        self.socket = connect(port, authority)
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0))

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))

    def headers(self, stream, method, path, extra=(), end=True):
        fields = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path),
                  ("authorization", "Bearer " + self.token), *extra]
        block = b"".join(literal(name, value) for name, value in fields)
        return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block)

    def read(self, seconds=10):
        """The next frame: (kind, flags, stream, payload); None when the connection has ended."""
        self.socket.settimeout(seconds)
        head = self._exactly(9)
        if head is None:
            return None
        size = int.from_bytes(head[:3], "big")
        payload = self._exactly(size) if size else b""
        return head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, payload

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                part = self.socket.recv(count - len(data))
            except (ConnectionError, ssl.SSLError):
                return None
            if not part:
                return None
            data += part
        return data

    def read_until(self, kind, stream=None, seconds=10):
        """Reads on until a frame of this kind; None when the connection ends first."""
        while True:
            found = self.read(seconds)
            if found is None or found[0] == kind and (stream is None or found[2] == stream):
                return found

    def close(self):
        self.socket.close()
