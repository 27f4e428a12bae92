"""What the binary starts with."""

from __future__ import annotations

from lvs.cli import main

raise SystemExit(main())
