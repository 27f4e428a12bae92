"""Which real servers an order is for; what orders lead to is told by tests/transcripts."""

from __future__ import annotations

from health.warded import servers
from lvs.health import maintenance, ward
from lvs.health.ward import Health
from strategies import config


def test_real_servers_by_name_and_address() -> None:
    health, _ = ward.configured(Health(), config(servers(1, 0, 1), servers(2, 1)), 0.0)
    both = maintenance.servers_called(health, "r2", None)
    assert both == maintenance.servers_called(health, "10.0.0.2", None)
    assert [len(keys) for keys in both.values()] == [2]
    assert [len(keys) for keys in maintenance.servers_called(health, "r2", "v2").values()] == [1]
    assert maintenance.servers_called(health, "r9", None) == {}
