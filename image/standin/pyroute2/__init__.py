"""Instead of pyroute2's own top module, which imports all of pyroute2; lvsd uses rtnetlink only."""

from pyroute2.iproute.linux import AsyncIPRoute

__all__ = ["AsyncIPRoute"]
