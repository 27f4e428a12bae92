"""The lab's hand inside the kernel under test: makes machines, runs programs in them.

A small program of the standard library. In a guest it is process 1 and talks over a virtio
serial port; on a kernel that has IPVS itself it is process 1 of a process namespace and talks over
a socket. The protocol is the same: one JSON object a line, each request with an ``id``, replies in
any order; bytes travel as base64. A line that is no request is counted and skipped, so noise on the
port costs nothing but that line.

Python under emulation is some fifteen times slower than native. Hence no asyncio, no subprocess, no
threads: one epoll loop, a plain fork for each program, and memory files instead of pipes for its
input and output, so that nothing has to be pumped while it runs.

A machine is three namespaces (network, mounts, host name) kept open by file descriptors: it ends
with this process, whatever happens, and leaves no name behind.
"""
