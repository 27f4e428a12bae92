"""The pair's key as its file holds it now, read again only when the file is another."""

from __future__ import annotations

from pathlib import Path

from lvs.io import files, pairkey
from lvs.io.pairkey import PairKey


class KeyFile:
    """A key that was read, and what its file looked like then."""

    def __init__(self) -> None:
        self._seen: tuple[int, ...] = ()
        self._key: PairKey | None = None

    def read(self, path: Path) -> PairKey:
        """The key; from memory as long as its file is the same. Errors: SystemFault."""
        seen = files.outside(path)
        if not seen or seen != self._seen or self._key is None:
            self._seen, self._key = seen, None
            self._key = pairkey.read(path)
        return self._key
