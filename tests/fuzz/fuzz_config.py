"""Coverage-guided fuzzing of both configuration readers.

    python tests/fuzz/fuzz_config.py SECONDS

Begins with the fixtures. A finding is an exception, or a law that does not hold: a configuration
that loads is written and read again as itself, in both languages, and loading on top of another
load gives what loading alone does. atheris prints the input of a finding and writes it to a file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parent.parent.parent

with atheris.instrument_imports(include=["lvs.config"]):
    sys.path.insert(0, str(ROOT / "src"))
    from lvs.config import (  # noqa: F401
        across,
        build,
        check_values,
        checking,
        checks,
        lvscf,
        options,
        statements,
        toml,
        values,
    )
    from lvs.config.load import Loaded, load
    from lvs.config.render import to_cf, to_toml
    from lvs.errors import ConfigError
    from lvs.model import Config, Format

previous: dict[Format, Loaded] = {}


def one(data: bytes) -> None:
    """Try one input: its first byte chooses the language."""
    if not data:
        return
    file_format = Format.TOML if data[0] % 2 else Format.LVS_CF
    loaded = load(data[1:], "fuzz", file_format)
    again = load(data[1:], "fuzz", file_format, previous=previous.get(file_format))
    assert again.config == loaded.config
    assert again.problems == loaded.problems
    previous[file_format] = again
    if loaded.config is not None:
        round_trip(loaded.config)


def round_trip(config: Config) -> None:
    assert load(to_toml(config), "again", Format.TOML).config == config
    try:
        text = to_cf(config)
    except ConfigError:
        return
    assert load(text, "again", Format.LVS_CF).config == config


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as corpus:
        for path in (ROOT / "tests" / "fixtures").iterdir():
            if path.suffix in (".cf", ".toml") or path.name == "messages.txt":
                first = b"1" if path.suffix == ".toml" else b"0"
                Path(corpus, path.name).write_bytes(first + path.read_bytes())
        limits = [f"-max_total_time={seconds}", "-timeout=10", "-max_len=6000"]
        atheris.Setup([sys.argv[0], corpus, *limits], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
