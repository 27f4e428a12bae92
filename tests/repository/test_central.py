"""What pull.toml may say."""

from __future__ import annotations

import pytest

from lvs.repository.central import Central, environment, judge, words

SSH = {"url": "ssh://git@git.example.com:2222/a/b.git", "known_hosts": "/etc/lvs/k", "ssh_key": "/etc/lvs/p"}


def test_what_is_taken() -> None:
    assert judge(SSH) == Central(SSH["url"], "ssh", "main", "/etc/lvs/k", "/etc/lvs/p")
    for url in ("https://git.example.com/x", "file:///srv/x.git", "https://[2001:db8::1]:8443/x"):
        assert isinstance(judge({"url": url, "branch": "site/a"}), Central)


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        ({}, {"url"}),
        ({"url": "git@github.com:x/y"}, {"url"}),
        ({"url": "ext::sh -c x"}, {"url"}),
        ({"url": "https://-oProxyCommand=x/y"}, {"url"}),
        ({"url": "https://a/b;id"}, {"url"}),
        ({"url": "http://a/b"}, {"url"}),
        ({"url": "file://host/b"}, {"url"}),
        ({"url": "https:///b"}, {"url"}),
        ({"url": 7}, {"url"}),
        ({"url": "ssh://a/b"}, {"known_hosts", "ssh_key"}),
        (SSH | {"ssh_key": "/etc/lvs/a key"}, {"ssh_key"}),
        (SSH | {"known_hosts": "known"}, {"known_hosts"}),
        (SSH | {"branch": "--upload-pack=x", "brunch": "x"}, {"branch", "brunch"}),
        (SSH | {"branch": "a/../b"}, {"branch"}),
    ],
)
def test_what_is_refused(values: dict[str, object], keys: set[str]) -> None:
    judged = judge(values)
    assert not isinstance(judged, Central)
    assert set(judged) == keys


def test_only_its_protocol_and_its_keys() -> None:
    central = judge(SSH)
    assert isinstance(central, Central)
    told = environment(central)
    assert told["GIT_ALLOW_PROTOCOL"] == "ssh"
    for option in ("StrictHostKeyChecking=yes", "UserKnownHostsFile=/etc/lvs/k", "IdentityFile=/etc/lvs/p"):
        assert f"-o {option}" in told["GIT_SSH_COMMAND"]
    assert words(central, "refs/lvs/central")[-3:] == ("--", SSH["url"], "+refs/heads/main:refs/lvs/central")
    other = judge({"url": "https://a/b", "ca_file": "/etc/lvs/ca.pem"})
    assert isinstance(other, Central)
    assert "GIT_SSH_COMMAND" not in environment(other)
    assert "http.sslCAInfo=/etc/lvs/ca.pem" in words(other, "refs/lvs/central")
