"""Files that are replaced as a whole, and are on the disk when that is said."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Give a file another content, mode 0644; its folder is made. Errors: OSError, and the file is as it was.

    The folder is synced, too: the name is what a power cut would lose else; rename(2), fsync(2).
    """
    temporary = path.with_name(path.name + ".new")
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    with open(descriptor, "wb") as file:  # noqa: PTH123
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    settle(path.parent)


def settle(directory: Path) -> None:
    """Names in a folder are on the disk. Errors: OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
