"""user-data, meta-data and network-config: which keys are read, and what is said of the others."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstboot.given import TOML, public_key
from lvs.firstboot.nocloud import from_disk, readable
from lvs.firstboot.values import Offered

KEY = public_key()


def read(**files: str) -> tuple[dict[str, Offered], list[str]]:
    found = from_disk({name.replace("_", "-"): text.encode() for name, text in files.items()})
    assert len({one.name for one in found.offered}) == len(found.offered)
    return {one.name: one for one in found.offered}, [str(problem) for problem in found.problems]


def write(**keys: str) -> str:
    """User data that writes one file."""
    lines = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    return f"#cloud-config\nwrite_files:\n  -\n{lines}"


def test_everything_that_is_read() -> None:
    user_data = f"""\
#cloud-config
hostname: director1
ssh_authorized_keys:
  - {KEY}
users:
  - name: root
    ssh_authorized_keys: ["{KEY} two"]
  - name: lvs
    ssh-authorized-keys: ["{KEY} three"]
write_files:
  - path: /etc/lvs/lvs.toml
    content: |
{"".join(f"      {line}" for line in TOML.splitlines(keepends=True))}
  - path: /etc/lvs/secrets/radius
    encoding: b64
    permissions: '0600'
    content: {base64.b64encode(b"s").decode()}
  - path: /etc/lvs/checks/ask
    permissions: '0755'
    content: !!binary {base64.b64encode(b"#!/bin/sh").decode()}
"""
    meta = f"instance-id: i-1\nlocal-hostname: other\npublic-keys:\n  a: {KEY} four\n"
    offered, said = read(user_data=user_data, meta_data=meta, network_config="version: 2\n")
    assert {name: one.content.decode() for name, one in offered.items()} == {
        "hostname": "director1",
        "authorized_keys": f"{KEY} four\n{KEY}\n{KEY} two\n",
        "authorized_keys.lvs": f"{KEY} three\n",
        "lvs.toml": TOML,
        "secrets/radius": "s",
        "etc-lvs/checks/ask": "#!/bin/sh",
    }
    assert offered["etc-lvs/checks/ask"].mode == 0o755
    assert {one.origin for one in offered.values()} == {"i-1"}
    assert len(said) == 1
    assert "is a secret, and stays on this disk for all to read" in said[0]


def test_the_host_name_of_meta_data_if_there_is_no_better() -> None:
    assert read(meta_data="local-hostname: one\n")[0]["hostname"].content == b"one"
    both = "#cloud-config\nfqdn: two.example.org\n"
    assert (
        read(meta_data="local-hostname: one\n", user_data=both)[0]["hostname"].content == b"two.example.org"
    )


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("#cloud-config\nruncmd: [ls]\n", "CIDATA/user-data:2: warning: runcmd: nothing is run"),
        ("#cloud-config\nchpasswd: {}\n", "chpasswd: nobody logs in with a password"),
        ("#cloud-config\nssh_authorised_keys: []\n", "did you mean ssh_authorized_keys?"),
        ("#cloud-config\nusers: [default]\n", "there is no user default here"),
        ("#cloud-config\nusers: [{name: bob}]\n", "there are only root and lvs here, got 'bob'"),
        ("#!/bin/sh\nls\n", "CIDATA/user-data:1: #cloud-config is asked for in the first line"),
        ("#cloud-config\nhostname: [a]\n", "hostname: a text is asked for"),
        (write(path="/etc/passwd", content="x"), "only files below /etc/lvs are laid down"),
        (write(path="/etc/lvs/../passwd", content="x"), "only files below /etc/lvs are laid down"),
        (write(path="/etc/lvsx/a", content="x"), "only files below /etc/lvs are laid down"),
        (write(path="/etc/lvs/a", content="x", append="true"), "nothing is appended"),
        (write(path="/etc/lvs/a", content="x", encoding="gz"), "b64 or none is read"),
        (write(path="/etc/lvs/a", content="'*'", encoding="b64"), "is no base64"),
        (write(path="/etc/lvs/a", content="x", permissions="'4755'"), "0600, 0644, 0755 and the like"),
        (write(path="/etc/lvs/a", content="x", permissions="'0666'"), "0600, 0644, 0755 and the like"),
        (write(path="/etc/lvs/a", content="x", permissions="rw"), "0600, 0644, 0755 and the like"),
    ],
)
def test_what_is_told(text: str, wrong: str) -> None:
    offered, said = read(user_data=text)
    assert offered == {}
    assert len(said) == 1
    assert wrong in said[0]


def test_another_owner_is_told_and_the_file_counts() -> None:
    offered, said = read(user_data=write(path="/etc/lvs/a", content="x", owner="lvs:lvs"))
    assert list(offered) == ["etc-lvs/a"]
    assert "belongs to root" in said[0]


def test_vendor_data_is_told_and_empty_user_data_is_nothing() -> None:
    found = from_disk({"vendor-data": b"x", "user-data": b"\n"})
    assert found.offered == ()
    assert len(found.problems) == 1
    assert readable("user-data")
    assert not readable("vendor-data")


def test_a_key_brings_no_other_lines_along() -> None:
    text = f'#cloud-config\nssh_authorized_keys: ["{KEY}\\ncommand=\\"x\\" {KEY}"]\n'
    offered, _ = read(user_data=text)
    assert offered["authorized_keys"].content.count(b"\n") == 1


@given(st.text(max_size=200))
def test_whatever_comes_is_judged(text: str) -> None:
    from_disk(
        {name: f"#cloud-config\n{text}".encode() for name in ("user-data", "meta-data", "network-config")}
    )
