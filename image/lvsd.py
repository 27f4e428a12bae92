"""What the binary starts with."""

from __future__ import annotations

import sys

# asyncio takes ssl if there is one: 4 MB and a third of its own start, for what no part of lvsd asks
# of it. Only checks within TLS import it, past this: lvs.probes.tls.
sys.modules["ssl"] = None  # type: ignore[assignment]

from lvs.cli import main  # noqa: E402

raise SystemExit(main())
