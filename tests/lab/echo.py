"""A real server in a few lines: says its name over TCP (a reply a line) and UDP (a reply a datagram).

echo.py NAME [--tcp PORT...] [--udp PORT...]: on all addresses, IPv6 and IPv4 alike. Runs inside the
machine, so it starts light: no asyncio, no argparse.
"""

from __future__ import annotations

import select
import socket
import sys


def main() -> None:
    """Serve until killed."""
    name, *rest = sys.argv[1:]
    epoll = select.epoll()
    listeners, datagrams = {}, {}
    kind = ""
    for word in rest:
        if word.startswith("--"):
            kind = word
        elif kind == "--tcp":
            listener = socket.create_server(("::", int(word)), family=socket.AF_INET6, dualstack_ipv6=True)
            listeners[listener.fileno()] = listener
        else:
            endpoint = udp_endpoint(int(word))
            datagrams[endpoint.fileno()] = endpoint
    for fd in (*listeners, *datagrams):
        epoll.register(fd, select.EPOLLIN)
    print("serving", flush=True)
    serve(name.encode(), epoll, listeners, datagrams)


def udp_endpoint(port: int) -> socket.socket:
    """A socket for both families that answers from the address it was asked at."""
    endpoint = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    endpoint.bind(("::", port))
    return endpoint


def serve(
    name: bytes,
    epoll: select.epoll,
    listeners: dict[int, socket.socket],
    datagrams: dict[int, socket.socket],
) -> None:
    """Answer on every socket that has something to say."""
    streams: dict[int, socket.socket] = {}
    while True:
        for fd, _ in epoll.poll():
            if fd in listeners:
                stream, _ = listeners[fd].accept()
                streams[stream.fileno()] = stream
                epoll.register(stream, select.EPOLLIN)
            elif fd in datagrams:
                answer_datagram(name, datagrams[fd])
            elif not answer(name, streams[fd]):
                streams.pop(fd).close()


def answer_datagram(name: bytes, endpoint: socket.socket) -> None:
    """Answer from the address that was asked: a real server that holds the VIP has several.

    That address comes as an in6_pktinfo and goes back as one, without the interface's number: the
    way back may be another interface's.
    """
    data, [(level, kind, info), *_], _, peer = endpoint.recvmsg(2048, 64)
    endpoint.sendmsg([name, b" ", data], [(level, kind, info[:16] + bytes(4))], 0, peer)


def answer(name: bytes, stream: socket.socket) -> bool:
    """One reply for each line that has come; false at the end."""
    try:
        data = stream.recv(65536)
        for _ in range(data.count(b"\n")):
            stream.sendall(name + b"\n")
    except OSError:
        return False
    return bool(data)


if __name__ == "__main__":
    main()
