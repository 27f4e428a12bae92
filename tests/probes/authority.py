"""A certificate authority for tests, by the openssl program: elliptic keys, made in a moment."""

from __future__ import annotations

import subprocess
from pathlib import Path

_SETTINGS = """
[req]
distinguished_name = dn
x509_extensions = authority
[dn]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
[ca]
default_ca = here
[here]
database = {directory}/{name}.index
new_certs_dir = {directory}
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """One authority; `pem` is its own certificate."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory, self._name = directory, name
        self._settings = directory / f"{name}.cnf"
        self._settings.write_text(_SETTINGS.format(directory=directory, name=name))
        (directory / f"{name}.index").touch()
        self.pem = directory / f"{name}.pem"
        self._run(
            *("req", "-x509", *_KEY, "-keyout", f"{name}.key", "-out", self.pem),
            *("-subj", f"/CN={name}", "-days", "36500"),
        )

    def issue(self, name: str, *alternatives: str, starts: str = "20200101", ends: str = "21200101") -> Path:
        """Chain and key, in one file. Shape: `alternatives` as DNS:a or IP:192.0.2.1, days as 20270131."""
        key, asked, given = (f"{self._name}-{name}.{kind}" for kind in ("key", "csr", "crt"))
        extra = ("-addext", f"subjectAltName={','.join(alternatives)}") if alternatives else ()
        self._run("req", *_KEY, "-keyout", key, "-out", asked, "-subj", f"/CN={name}", *extra)
        self._run(
            *("ca", "-batch", "-notext", "-in", asked, "-out", given),
            *("-cert", self.pem, "-keyfile", f"{self._name}.key"),
            *("-startdate", f"{starts}000000Z", "-enddate", f"{ends}000000Z"),
        )
        whole = self._directory / f"{self._name}-{name}.pem"
        whole.write_text((self._directory / given).read_text() + (self._directory / key).read_text())
        return whole

    def _run(self, command: str, *words: str | Path) -> None:
        done = subprocess.run(
            ("openssl", command, "-config", self._settings, *words),
            cwd=self._directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
