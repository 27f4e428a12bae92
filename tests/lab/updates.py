"""Updates of the image, built as the image is, of another version and with another content."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .appliance import DISK
from .paths import CHECKOUT

PLACE = CHECKOUT / "build" / "image" / "updates"


def build(version: str, files: Mapping[str, str] | None = None) -> Path:
    """The signed update, made once for an image; `files`, executables, are laid over it."""
    out = PLACE / version
    update = out / f"lvs-{version}-vm.update"
    if update.exists() and update.stat().st_mtime > DISK.stat().st_mtime:
        return update
    extra = out / "extra"
    for name, content in (files or {}).items():
        path = extra / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755)
    environment = {**os.environ, "IMAGE_VERSION": version, "IMAGE_OUT": str(out)}
    if files:
        environment["IMAGE_EXTRA"] = str(extra)
    subprocess.run((CHECKOUT / ".ci" / "image", "vm", "update"), check=True, env=environment, cwd=CHECKOUT)
    for leftover in out.glob("*.raw"):  # a third of a gigabyte each
        leftover.unlink()
    return update
