"""The table of service names."""

from __future__ import annotations

from lvs.config.services import TCP_SERVICES


def test_names_and_ports() -> None:
    assert TCP_SERVICES["http"] == 80
    assert "tftp" not in TCP_SERVICES  # UDP only
    for name, port in TCP_SERVICES.items():
        assert name[0].isalpha()
        assert 1 <= port <= 65535
