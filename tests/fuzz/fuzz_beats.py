"""Coverage-guided fuzzing of heartbeats: the datagram, and what a beat does to the machine.

    python tests/fuzz/fuzz_beats.py SECONDS

Half of the inputs are datagrams as a stranger sends them; the other half are signed, as a director gone
mad would send them. A finding is an exception, a beat that is not sound, or a machine whose deadline does
not lie ahead. atheris prints the input of a finding and writes it to a file.
"""

from __future__ import annotations

import hmac
import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parent.parent.parent

with atheris.instrument_imports(include=["lvs.pulse"]):
    sys.path.insert(0, str(ROOT / "src"))
    from lvs.model import Role
    from lvs.pulse.machine import step
    from lvs.pulse.state import begin, deadline
    from lvs.pulse.wire import MAGIC, Bad, decode, encode
    from lvs.pulse.words import Beat, BeatReceived, Terms, TimePassed

KEY = b"k" * 32
TERMS = Terms(True, 0.2, 0.8)
STANDBY, _ = step(begin(TERMS, 1, 0.0), TimePassed(), 0.0)
STATES = (STANDBY, step(STANDBY, TimePassed(), 1.0)[0], begin(TERMS, 1, 0.0, adopted=True))
GOOD = (
    Beat(boot=2, number=1),
    Beat(boot=2, number=9, heard=1, heard_number=3, role=Role.ACTIVE, term=4, holding=True, able=True),
    Beat(boot=2, number=10, heard=1, handing=True, role=Role.ACTIVE, term=4, version="1.0", reason="asked"),
    Beat(boot=2, number=11, heard=1, leaving=True, reason="lvsd stops"),
)


def once(data: bytes) -> None:
    signed = MAGIC + b"\1" + data
    for datagram in (data, signed + hmac.digest(KEY, signed, "sha256")):
        beat = decode(datagram, KEY)
        if isinstance(beat, Bad):
            continue
        assert decode(encode(beat, KEY), KEY) == beat
        for state in STATES:
            for skew_s in (0.0, 1e6):
                after, _ = step(state, BeatReceived(beat, "public", skew_s), 1.1)
                assert deadline(after) > 1.1


def main() -> None:
    seconds = sys.argv[1]
    with tempfile.TemporaryDirectory() as corpus:
        for number, beat in enumerate(GOOD):
            datagram = encode(beat, KEY)
            Path(corpus, f"whole{number}").write_bytes(datagram)
            Path(corpus, f"body{number}").write_bytes(datagram[5:-32])
        atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-max_len=1100", corpus], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
