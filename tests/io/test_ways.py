"""The question about a route and its answer, in bytes; tests/netns/test_askers.py has real links."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from lvs.io import ways
from lvs.io.rtwire import request
from lvs.io.ways import answer, question, way_to
from lvs.kernel.wire import NLMSG_ERROR


@pytest.mark.parametrize("address", [IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")])
def test_pyroute2_reads_the_question(address: IPv4Address | IPv6Address) -> None:
    message = rtmsg(question(address))
    message.decode()
    assert message.get_attr("RTA_DST") == str(address)
    assert message["dst_len"] == address.max_prefixlen
    assert message["header"]["type"] == ways.RTM_GETROUTE
    assert message["header"]["flags"] == 1


def test_attributes_of_the_answer() -> None:
    message = rtmsg()
    message["header"]["type"] = ways.RTM_NEWROUTE
    message["type"] = ways.RTN_UNICAST
    message["family"] = 2
    message["attrs"] = [("RTA_OIF", 7), ("RTA_PREFSRC", "192.0.2.9"), ("RTA_GATEWAY", "192.0.2.254")]
    message.encode()
    kind, code, attributes = answer(bytes(message.data))
    assert (kind, code) == (ways.RTN_UNICAST, 0)
    assert attributes[ways.RTA_OIF] == struct.pack("=I", 7)
    assert attributes[ways.RTA_PREFSRC] == bytes([192, 0, 2, 9])
    assert attributes[ways.RTA_GATEWAY] == bytes([192, 0, 2, 254])


def test_an_error() -> None:
    data = request(NLMSG_ERROR, struct.pack("=i", -101) + bytes(16))
    assert answer(data) == (0, 101, {})
    with pytest.raises(OSError, match="rotocol"):
        answer(request(3, b""))


def test_own_address_is_no_neighbour() -> None:
    assert "an address of this director" in str(way_to(IPv4Address("127.0.0.1")))
