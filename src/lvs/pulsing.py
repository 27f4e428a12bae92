"""`lvsd pulse`: the pulse's process, which `lvs.io.pulse` starts. Nothing for a person to type."""

from __future__ import annotations

import sys

from lvs.io.heart import main as main  # noqa: PLC0414

if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
