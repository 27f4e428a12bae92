"""Devices of this host from rtnetlink's bytes; pyroute2 is the oracle."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from lvs.errors import KernelError
from lvs.io import rtwire
from lvs.io.devices import devices
from lvs.io.links import Links


def test_devices_of_this_host() -> None:
    async def oracle() -> object:
        links = Links()
        await links.open()
        try:
            return await links.devices()
        finally:
            links.close()

    names = [name for _, name in socket.if_nameindex()]
    assert "lo" in names
    assert devices([*names, *names, "no-such-device"]) == asyncio.run(oracle())


def test_a_device_that_goes_away_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "if_nametoindex", lambda _: 1 << 30)
    assert devices(["lo"]) == {}


def test_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(socket, "socket", refused)
    with pytest.raises(
        KernelError, match="network devices cannot be read: Operation not permitted"
    ) as caught:
        devices(["lo"])
    assert caught.value.errno == errno.EPERM


def test_a_kernel_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtwire, "ANSWER_S", 0.01)
    monkeypatch.setattr(rtwire, "NLM_F_REQUEST", 0)  # what is no request is not answered
    with pytest.raises(KernelError, match="no answer in"):
        devices(["lo"])
