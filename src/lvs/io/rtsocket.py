"""pyroute2's routing socket: opened, asked, and listened to.

What is known of pyroute2, and why calls are built here by hand:

- pyroute2 0.9.7 ignores NLM_F_DUMP_INTR, the kernel's mark on a dump that changed underway and
  may lack addresses that were there all the time. Here the dump is repeated.
- Its batch method stops at the first refusal and forgets the rest; ours tells each outcome.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from functools import partial
from typing import TYPE_CHECKING, Any

from lvs.errors import KernelError
from lvs.io.rtnetlink import exit_code

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# include/uapi/linux/netlink.h, linux/rtnetlink.h
NLM_F_DUMP_INTR = 0x10
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it

# A dump that is interrupted this often is on a machine that changes all the time.
DUMP_TRIES = 5
# Links of a big host come and go in bursts: 200 containers are about 1 MB of messages.
MONITOR_BYTES = 4 << 20

Request = tuple[int, int, Any]  # netlink type, flags, message


async def open_socket(doing: str, groups: int = 0) -> Any:
    """A socket for questions, or for the news of `groups`. Errors: KernelError that begins with `doing`."""
    from pyroute2 import AsyncIPRoute

    route: Any = AsyncIPRoute(ext_ack=True, groups=groups)
    try:
        if groups:
            await route.bind()
        else:
            await route.setup_endpoint()
    except (OSError, KeyError) as error:
        route.close()
        # pyroute2's bind tries 180 addresses, whatever the error, and ends with a KeyError.
        code = (error.errno if isinstance(error, OSError) else None) or errno.EADDRINUSE
        raise KernelError(f"{doing}: {os.strerror(code)}", code, exit_code(code)) from error
    except BaseException:
        route.close()
        raise
    return route


async def monitor() -> Any:
    """A socket that is told when links or addresses change."""
    route = await open_socket(
        "changes of links cannot be watched", RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR
    )
    try:
        route.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, MONITOR_BYTES)
    except PermissionError:
        route.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MONITOR_BYTES)
    return route


async def hear(watching: Any) -> list[Any] | None:
    """The next messages, or None if some were lost: pyroute2 cannot use the socket any further."""
    from pyroute2.netlink.exceptions import NetlinkDecodeError, NetlinkError

    try:
        return [message async for message in watching.get()]
    except (NetlinkDecodeError, struct.error):
        return None
    except (OSError, NetlinkError) as error:
        code = (error.code if isinstance(error, NetlinkError) else error.errno) or 0
        if code == errno.ENOBUFS:
            return None
        raise KernelError(f"changes of links cannot be watched: {os.strerror(code)}", code) from error


async def dump(route: Any, kind: int, request: Any) -> Iterator[Any]:
    """All answers to one question, asked again while the answer changes underway.

    Shape: `request` makes the question, and its class decodes the answers. They are decoded when
    all are here: the kernel goes on only as fast as it is listened to, and while 2,000 addresses
    were decoded on the way, every dump met a change. And one by one: decoded, 1,000 are 5 MB.
    """
    from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR
    from pyroute2.netlink.nlsocket import NetlinkRequest

    answers: list[bytes] = []
    for _ in range(DUMP_TRIES):
        answers, torn, question = [], False, request()

        def keep(data: bytes, offset: int, length: int) -> Any:
            nonlocal torn
            _, answer, flags, sequence = struct.unpack_from("=IHHI", data, offset)
            torn = torn or bool(flags & NLM_F_DUMP_INTR)
            if answer in (NLMSG_ERROR, NLMSG_DONE):
                return route.marshal.parse_one_message(answer, flags, sequence, data, offset, length)
            answers.append(data[offset : offset + length])  # noqa: B023
            # pyroute2 takes a packet of which nothing is left for the end.
            return {"header": {"type": answer, "flags": flags, "error": None}}

        asked = NetlinkRequest(
            route, question, msg_type=kind, msg_flags=NLM_F_REQUEST | NLM_F_DUMP, parser=keep
        )
        await asked.send()
        async for _message in asked.response():
            pass
        if not torn:
            break
    return map(partial(_decoded, type(question)), answers)


def _decoded(kind: Any, answer: bytes) -> Any:
    message = kind(answer)
    message.decode()
    return message


async def ask(route: Any, requests: Sequence[Request]) -> list[Any]:
    """Send requests in one write; return None or the NetlinkError for each, in their order."""
    from pyroute2.netlink.exceptions import NetlinkError
    from pyroute2.netlink.nlsocket import NetlinkRequest

    asked = [
        NetlinkRequest(route, message, msg_type=kind, msg_flags=flags) for kind, flags, message in requests
    ]
    outcomes: list[Any] = []
    for request in asked:
        await request.prepare()
    route.send(b"".join(request.msg.data for request in asked))
    for request in asked:
        try:
            async for _ in request.response():
                pass
            outcomes.append(None)
        except NetlinkError as error:
            outcomes.append(error)
    return outcomes
