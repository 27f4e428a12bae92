"""pyroute2's routing socket: opened, asked, and listened to.

Dumps are built here by hand: pyroute2 0.9.7 ignores NLM_F_DUMP_INTR, the kernel's mark on one that
changed underway and may lack what was there all the time. Here it is repeated.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import socket
import struct
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from lvs.errors import KernelError
from lvs.io.rtnetlink import exit_code

if TYPE_CHECKING:
    from collections.abc import Iterator

# include/uapi/linux/netlink.h, linux/rtnetlink.h
NLM_F_DUMP_INTR = 0x10
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it

# A dump that is interrupted this often is on a machine that changes all the time.
DUMP_TRIES = 5
# Links of a big host come and go in bursts: 200 containers are about 1 MB of messages.
MONITOR_BYTES = 4 << 20


def in_parts() -> None:
    """Have what is imported of pyroute2 imported, and not all of it.

    Its package imports every part: 0.13 s and 11 MiB natively, and the routing socket alone 0.07 s and 5 MiB.
    Whoever asks the package itself for something gets it whole.
    """
    if "pyroute2" in sys.modules:
        return
    spec = importlib.util.find_spec("pyroute2")
    if spec is None or spec.loader is None:
        return
    package, load = importlib.util.module_from_spec(spec), spec.loader.exec_module

    def rest(name: str) -> Any:
        if name.startswith("__") or importlib.util.find_spec(f"pyroute2.{name}") is not None:
            raise AttributeError(name)  # a part: the import goes on to it
        del package.__getattr__
        load(package)
        return getattr(package, name)

    package.__getattr__ = rest  # type: ignore[method-assign]
    sys.modules["pyroute2"] = package


async def open_socket(doing: str, groups: int = 0) -> Any:
    """A socket for questions, or for the news of `groups`. Errors: KernelError that begins with `doing`."""
    in_parts()
    from pyroute2.iproute.linux import AsyncIPRoute

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
