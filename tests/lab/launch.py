"""How the agent is started: by the interpreter that runs the tests, with as little as it can load."""

from __future__ import annotations

import os
import py_compile
import sys

from .paths import CHECKOUT, LAB

PYTHON = os.path.realpath(sys.executable)

START = f"import sys; sys.path.append({str(LAB)!r}); from agent.loop import main; main()"


def agent_command(port: str, tree: str) -> list[str]:
    """The command line of an agent at ``port``, with the peers' tree where it will find it.

    Shape: compiled here, because a guest cannot write to the checkout and compiling costs it 0.3 s.
    """
    for source in (LAB / "agent").glob("*.py"):
        py_compile.compile(str(source))
    return [PYTHON, "-I", "-S", "-c", START, port, tree, str(CHECKOUT)]
