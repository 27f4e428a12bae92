"""Golden files: compared, or written anew with LVS_REWRITE=1 and then reviewed as a diff."""

from __future__ import annotations

import os
from pathlib import Path

FIXTURES = Path(__file__).parent.parent / "fixtures"
REWRITE = bool(os.environ.get("LVS_REWRITE"))


def check(name: str, text: str) -> None:
    path = FIXTURES / name
    if REWRITE:
        path.write_text(text)
    assert path.read_text() == text
