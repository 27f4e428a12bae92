"""A central repository that directors follow: what pull.toml may say, and how git is told. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

DEFAULT_BRANCH = "main"
KEYS = ("url", "branch", "known_hosts", "ssh_key", "ca_file")
_PATH = re.compile(r"/[A-Za-z0-9._/+-]+")  # it is within a command line that git has a shell read
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_URL = re.compile(
    r"(?P<scheme>ssh|https|file)://((?P<user>[A-Za-z0-9][A-Za-z0-9._-]*)@)?"
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9a-f:.]+\])?(:[0-9]{1,5})?/(?P<path>[A-Za-z0-9._~/+-]+)"
)
_SETTINGS = (
    *("http.followRedirects=false", "http.lowSpeedLimit=1000", "http.lowSpeedTime=30"),
    "credential.helper=",
)
_FLAGS = (
    *("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"),
    "--no-auto-maintenance",
)


class Central(msgspec.Struct, frozen=True):
    """Where to pull from; every word is fit for a command line."""

    url: str
    scheme: str
    branch: str = DEFAULT_BRANCH
    known_hosts: str = ""
    ssh_key: str = ""
    ca_file: str = ""


def judge(values: Mapping[str, Any]) -> Central | dict[str, str]:
    """What the file's keys say, or what is wrong with which of them."""
    problems = {
        key: f"there is no such key; there are {', '.join(KEYS)}" for key in values if key not in KEYS
    }
    texts = {}
    for key in KEYS:
        value = values.get(key, DEFAULT_BRANCH if key == "branch" else "")
        if not isinstance(value, str):
            problems[key] = "a text is asked for"
            value = ""
        texts[key] = value
    url = _URL.fullmatch(texts["url"])
    scheme = url["scheme"] if url else ""
    if "url" not in problems and (url is None or bool(url["host"]) is (scheme == "file")):
        problems["url"] = "ssh://USER@HOST/PATH, https://HOST/PATH or file:///PATH is asked for"
    if "branch" not in problems and (not _BRANCH.fullmatch(texts["branch"]) or ".." in texts["branch"]):
        problems["branch"] = "the name of a branch is asked for, such as main"
    for key in ("known_hosts", "ssh_key", "ca_file"):
        if texts[key] and not _PATH.fullmatch(texts[key]):
            problems[key] = "a whole path of letters, digits and ._+- is asked for"
    if scheme == "ssh":
        if not texts["known_hosts"]:
            problems.setdefault(
                "known_hosts", "missing: the file with the host's key, as ssh-keyscan writes it"
            )
        if not texts["ssh_key"]:
            problems.setdefault(
                "ssh_key", "missing: the file with the private key, readable for user lvs only"
            )
    return problems or Central(texts["url"], scheme, *(texts[key] for key in KEYS[1:]))


def environment(central: Central) -> dict[str, str]:
    """What git is told by its environment."""
    told = {"GIT_ALLOW_PROTOCOL": central.scheme, "GIT_ASKPASS": "/bin/false", "SSH_ASKPASS": "/bin/false"}
    if central.scheme == "ssh":
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": central.known_hosts,
            "GlobalKnownHostsFile": "none",
            "IdentitiesOnly": "yes",
            "IdentityFile": central.ssh_key,
            "ConnectTimeout": "20",
            "ServerAliveInterval": "20",
        }
        words = " ".join(f"-o {key}={value}" for key, value in options.items())
        told |= {"GIT_SSH_COMMAND": f"ssh -F none {words}", "GIT_SSH_VARIANT": "ssh"}
    return told


def words(central: Central, ref: str) -> tuple[str, ...]:
    """The git command that fetches its branch into a ref of ours."""
    given = [word for one in _SETTINGS for word in ("-c", one)]
    if central.ca_file:
        given += ["-c", f"http.sslCAInfo={central.ca_file}"]
    return (*given, "fetch", *_FLAGS, "--", central.url, f"+refs/heads/{central.branch}:{ref}")
