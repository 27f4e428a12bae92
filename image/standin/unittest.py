"""Instead of unittest: pyroute2 makes one mock, for sockets of other namespaces that lvsd never opens."""


class mock:  # noqa: N801  a module elsewhere
    """A name for pyroute2."""

    Mock = object
