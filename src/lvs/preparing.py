"""`lvsd cloud-init`: user data for a real server, printed from a configuration."""

from __future__ import annotations

import argparse
import sys

from lvs import realserver
from lvs.arguments import config_file, content_of
from lvs.config.load import load
from lvs.errors import Exit, UsageError
from lvs.io import files


def run(asked: argparse.Namespace) -> int:
    """Print it; the exit code."""
    path = asked.file or config_file(None)
    loaded = load(content_of(path, files.read), str(path))
    if loaded.config is None:
        for problem in loaded.problems:
            print(problem, file=sys.stderr)
        return Exit.PROBLEMS
    need = realserver.needed(loaded.config, asked.server, redirect=asked.redirect)
    if need is None:
        known = ", ".join(realserver.names(loaded.config))
        raise UsageError(f"no real server {asked.server} in {path}; there are {known or 'none'}")
    for sentence in need.refused:
        print(f"lvsd: {sentence}", file=sys.stderr)
    print(realserver.user_data(need), end="")
    return Exit.PROBLEMS if need.refused else Exit.OK
