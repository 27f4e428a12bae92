"""Stands where systemd's notify socket is: prints each datagram as one line of JSON, with its time."""

from __future__ import annotations

import json
import socket
import sys
import time


def main() -> None:
    """Listen on the path that is given, until killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(sys.argv[1])
        print("listening", flush=True)
        while True:
            lines = listener.recv(65536).decode().splitlines()
            told = dict(line.split("=", 1) for line in lines)
            print(json.dumps({**told, "at_usec": time.monotonic_ns() // 1000}), flush=True)


if __name__ == "__main__":
    main()
