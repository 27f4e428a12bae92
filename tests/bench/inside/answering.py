"""Real servers for checks: every address of this machine; and when each was asked.

Usage: answering KIND INTERVAL PORT, KIND being tcp or http. It says "ready", and at a line of two
times (monotonic) what was asked between them, as JSON: checks, late_s (by how much the worst start
missed the interval since the one before, of each real server), late_99_s (99 of 100 are better).
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import defaultdict
from itertools import pairwise

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nOK\n"


def main() -> None:
    kind, interval_s, port = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    asked: list[tuple[float, str]] = []
    with socket.create_server(("0.0.0.0", port), backlog=4096) as listener, select.epoll() as epoll:
        listener.setblocking(False)
        epoll.register(listener, select.EPOLLIN)
        epoll.register(sys.stdin, select.EPOLLIN)
        print("ready", flush=True)
        under_way: dict[int, socket.socket] = {}
        while True:
            for number, _ in epoll.poll():
                if number == listener.fileno():
                    accept(listener, epoll, under_way, asked)
                elif number == sys.stdin.fileno():
                    line = sys.stdin.readline()
                    if not line:
                        return
                    since, until = map(float, line.split())
                    within = [(at, address) for at, address in asked if since <= at < until]
                    print(json.dumps(summary(within, interval_s)), flush=True)
                else:
                    serve(under_way[number], under_way, http=kind == "http")


def accept(
    listener: socket.socket,
    epoll: select.epoll,
    under_way: dict[int, socket.socket],
    asked: list[tuple[float, str]],
) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        asked.append((time.monotonic(), connection.getsockname()[0]))
        connection.setblocking(False)
        under_way[connection.fileno()] = connection
        epoll.register(connection, select.EPOLLIN)


def serve(connection: socket.socket, under_way: dict[int, socket.socket], *, http: bool) -> None:
    try:
        data = connection.recv(4096)
        if data and http:
            connection.sendall(ANSWER)
        elif data:
            return
    except OSError:
        pass
    del under_way[connection.fileno()]
    connection.close()


def summary(asked: list[tuple[float, str]], interval_s: float) -> dict[str, float]:
    by_server = defaultdict(list)
    for at, address in asked:
        by_server[address].append(at)
    late = sorted(
        abs(after - before - interval_s) for times in by_server.values() for before, after in pairwise(times)
    )
    return {
        "checks": sum(map(len, by_server.values())),
        "servers": len(by_server),
        "late_s": late[-1],
        "late_99_s": late[len(late) * 99 // 100],
    }


if __name__ == "__main__":
    main()
