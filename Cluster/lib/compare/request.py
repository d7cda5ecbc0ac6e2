"""What h2load sends to one place, and how to tell that it was really done there."""


class Request:
    """`counters()` gives numbers that must each rise by exactly the number of requests; `children` are the processes of
    the system that is driven."""

    def __init__(self, system, children, uri, headers, body, counters, is_write):
        self.system, self.children = system, children
        self.uri, self.headers, self.body = uri, headers, body
        self.counters, self.is_write = counters, is_write
