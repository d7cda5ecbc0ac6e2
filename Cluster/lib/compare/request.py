"""What h2load sends to one place, and how to tell that it was really done there."""


class Request:
    """`counters()` gives numbers that must each rise by exactly the number of requests."""

    def __init__(self, system, uri, headers, body, counters, is_write):
        self.system, self.uri, self.headers, self.body = system, uri, headers, body
        self.counters, self.is_write = counters, is_write
