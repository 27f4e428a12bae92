"""Asking the deployment's services as users do, with the tree's own clients.

Each question says which real server answered, or raises when none did.
"""

from __future__ import annotations

from .channel import LabError
from .machine import Machine
from .services import BASE_DN, QUEUE, ZONE


def ask_names(client: Machine, address: str, *, tcp: bool = False) -> str:
    """Who answers a DNS question (dig)."""
    how = "+tcp" if tcp else "+notcp"
    options = [how, "+time=2", "+tries=1", "+short"]
    out = client.run("dig", *options, f"@{address}", f"server.{ZONE}", "TXT", root="tree").out
    return _named(out.strip().strip('"'), address)


def ask_directory(client: Machine, address: str) -> str:
    """Who answers an LDAP search (ldapsearch)."""
    where = ["-H", f"ldap://{_bracketed(address)}", "-b", f"cn=server,{BASE_DN}"]
    options = ["-x", "-LLL", "-o", "nettimeout=3", *where, "-s", "base", "description"]
    out = client.run("ldapsearch", *options, root="tree").out
    return _named(_after(out, "description: "), address)


def ask_printing(client: Machine, address: str) -> str:
    """Who answers an IPP question (lpstat)."""
    out = client.run("lpstat", "-h", f"{_bracketed(address)}:631", "-l", "-p", QUEUE, root="tree").out
    return _named(_after(out, "Location: "), address)


def print_ipp(client: Machine, address: str, text: str = "a page\n") -> None:
    """Print a job over IPP (lp)."""
    where = ["-h", f"{_bracketed(address)}:631", "-d", QUEUE, "-o", "raw"]
    client.run("lp", *where, root="tree", stdin=text)


def print_lpd(client: Machine, address: str, text: str = "a page\n") -> None:
    """Print a job over LPD (rlpr); without a banner page, of which CUPS here has none."""
    client.run("rlpr", "-h", f"--printhost={address}", f"--printer={QUEUE}", root="tree", stdin=text)


def jobs(real_server: Machine) -> int:
    """How many jobs a real server's queue has finished."""
    out = real_server.run("lpstat", "-W", "completed", "-o", QUEUE, root="tree").out
    return len(out.splitlines())


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _after(text: str, label: str) -> str:
    found = [line.strip().removeprefix(label) for line in text.splitlines() if label in line]
    return found[0] if found else ""


def _named(name: str, address: str) -> str:
    if not name or " " in name:
        raise LabError(f"{address}: no real server's name in the answer: {name!r}")
    return name
