"""`python -m bench [NAME...]`: measure, print a table, write build/bench.json."""

from __future__ import annotations

import json
import os
import sys
import time
from statistics import median
from typing import Any

from bench import burning, checking, emulated, imaging, native, pairing, pushing
from bench.measured import Figure, Measured, NotHereError
from lab.paths import CHECKOUT

TARGET = CHECKOUT / "build" / "bench.json"
FIGURES = {
    figure.name: figure
    for figure in (
        *native.FIGURES,
        *pairing.FIGURES,
        *burning.FIGURES,
        *emulated.FIGURES,
        *checking.FIGURES,
        *pushing.FIGURES,
        *imaging.FIGURES,
    )
}
LINE = "{:<32} {:>8} {:>6}  {:<22} {:>9} {:>9} {:>4}  {}"


def main() -> int:
    """Measure what was asked for, or all; 2 if there is no such figure."""
    asked = " ".join([*sys.argv[1:], os.environ.get("ONLY", "")]).replace(",", " ").split()
    unknown = [name for name in asked if name not in FIGURES]
    if unknown:
        print(f"no such figure: {' '.join(unknown)}; there are: {' '.join(FIGURES)}", file=sys.stderr)
        return 2
    entries: dict[str, Any] = json.loads(TARGET.read_text()) if asked and TARGET.exists() else {}
    print(LINE.format("figure", "value", "goal", "unit", "ours", "peer", "runs", ""))
    for name in dict.fromkeys(asked or FIGURES):
        figure = FIGURES[name]
        began = time.monotonic()
        try:
            measured = figure.measure()
        except NotHereError as missing:
            print(f"{name:<32} {'-':>8} {figure.goal:>6g}  {missing}", flush=True)
            continue
        entries[name] = entry(figure, measured)
        show(figure, measured, time.monotonic() - began)
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(json.dumps(entries, indent=1) + "\n")  # whatever becomes of the next
    return 0


def entry(figure: Figure, measured: Measured) -> dict[str, Any]:
    """A figure for bench.json; ours and peer in seconds, or in the figure's own unit."""
    return {
        "value": round(measured.value, 4),
        "goal": figure.goal,
        "unit": figure.unit,
        "ours": round(median(measured.ours), 4),
        "peer": round(median(measured.peer), 4) if measured.peer else None,
        "runs": len(measured.ours),
    }


def show(figure: Figure, measured: Measured, took_s: float) -> None:
    """A line of the table."""
    ours = f"{median(measured.ours):.4g}"
    peer = f"{median(measured.peer):.4g}" if measured.peer else ""
    verdict = "" if measured.value <= figure.goal else "missed"
    remark = "; ".join(filter(None, (verdict, measured.remark, f"took {took_s:.0f} s")))
    value = f"{measured.value:.3g}"
    print(
        LINE.format(
            figure.name, value, f"{figure.goal:g}", figure.unit, ours, peer, len(measured.ours), remark
        ),
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
