"""Instead of pyroute2's network probes, which bring OpenSSL along; lvsd sends none."""

from pyroute2.netlink import nlmsg


class probe_msg(nlmsg):  # noqa: N801  pyroute2's name
    """Never sent, never received; a name for pyroute2's tables."""


proxy_newprobe = None
