"""Folders of tests that users other than the one who runs them have to reach."""

from __future__ import annotations

from pathlib import Path


def open_to_all(path: Path) -> Path:
    """Let others into a folder of pytest's, which makes it for one user; the folder."""
    for directory in (path, *path.parents):
        if "/pytest-of-" in str(directory):
            directory.chmod(0o755)
    return path
