"""YAML as a tree of texts that know their line; anything that is more than data is refused.

Every scalar is the text that stands there: `0123` is no number, `no` no truth value, until somebody who knows
what is asked for says so. Aliases are refused: nothing that a machine is given needs one, and a few lines of
them can mean more memory than there is. PyYAML's own parser in Python does the reading; the one in C
is not part of the binary.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

import msgspec

from lvs.config.located import Problem, Severity

LONGEST = 256 << 10  # bytes; clouds allow 16 to 64 KiB
DEEPEST = 20
_TAG = "tag:yaml.org,2002:"
_PLAIN = {"str", "int", "float", "bool", "null", "timestamp", "seq", "map", "merge", "value"}
_TRUE, _FALSE = ("true", "yes", "on", "y"), ("false", "no", "off", "n")


class Node(msgspec.Struct):
    """A value, and where it stands."""

    value: Any  # str, bytes (!!binary), list of Node, dict of str to Node
    line: int
    path: str


class Reader:
    """Reads one document, and says of it what is wrong."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.problems: list[Problem] = []

    def read(self, content: bytes) -> Node | None:
        """The document; None if it is none, which is then said."""
        import yaml  # 30 ms, and only a cloud's machine needs it

        if len(content) > LONGEST:
            self._say(0, "", f"is {len(content)} bytes long, {LONGEST} at most are read")
            return None
        try:
            text = content.decode("utf-8-sig")
            root = yaml.compose(text, Loader=_loader())
            return Node({}, 1, "") if root is None else self._node(root, "")
        except UnicodeDecodeError:
            self._say(0, "", "is no UTF-8 text")
        except _RefusedError as fault:
            self._say(fault.line, "", str(fault))
        except yaml.YAMLError as fault:
            mark = getattr(fault, "problem_mark", None)
            said = getattr(fault, "problem", None) or getattr(fault, "reason", None) or "is no YAML"
            self._say(0 if mark is None else mark.line + 1, "", f"is no YAML: {said}")
        return None

    def _say(self, line: int, path: str, message: str, severity: Severity = Severity.ERROR) -> None:
        self.problems.append(Problem(self.where, line, path, message, severity))

    def wrong(self, node: Node, message: str) -> None:
        self._say(node.line, node.path, message)

    def odd(self, node: Node, message: str) -> None:
        self._say(node.line, node.path, message, Severity.WARNING)

    def _node(self, node: Any, path: str) -> Node:
        line = node.start_mark.line + 1
        tag = node.tag.removeprefix(_TAG)
        if isinstance(node.value, str):
            if tag == "binary":
                try:
                    return Node(base64.b64decode("".join(node.value.split()), validate=True), line, path)
                except binascii.Error:
                    raise _RefusedError("!!binary is followed by base64, and this is none", line) from None
            if tag not in _PLAIN:
                raise _RefusedError(f"the tag !!{tag} is not read here", line)
            return Node("" if tag == "null" else node.value, line, path)
        if tag not in _PLAIN:
            raise _RefusedError(f"the tag !!{tag} is not read here", line)
        if node.id == "sequence":
            return Node([self._node(one, f"{path}[{at}]") for at, one in enumerate(node.value)], line, path)
        found: dict[str, Node] = {}
        for key, value in node.value:
            if not isinstance(key.value, str):
                raise _RefusedError("a key is a word, and this is none", key.start_mark.line + 1)
            name = key.value
            below = f"{path}.{name}" if path else name
            if name in found:
                self._say(key.start_mark.line + 1, below, f"is given in line {found[name].line} already")
            else:
                found[name] = msgspec.structs.replace(self._node(value, below), line=key.start_mark.line + 1)
        return Node(found, line, path)

    # What is asked for, or nothing, which is then said

    def table(self, node: Node | None) -> dict[str, Node]:
        if node is None or node.value == "":
            return {}
        if isinstance(node.value, dict):
            return node.value
        self.wrong(node, "keys with values are asked for")
        return {}

    def items(self, node: Node | None) -> Iterator[Node]:
        if node is not None and isinstance(node.value, list):
            yield from node.value
        elif node is not None and node.value != "":
            self.wrong(node, "a list is asked for")

    def text(self, node: Node | None) -> str:
        if node is None:
            return ""
        if isinstance(node.value, str):
            return node.value
        self.wrong(node, "a text is asked for")
        return ""

    def texts(self, node: Node | None) -> list[str]:
        return [self.text(one) for one in self.items(node)]

    def truth(self, node: Node | None, *, default: bool) -> bool:
        said = self.text(node).lower()
        if node is None or said in (*_TRUE, *_FALSE):
            return default if node is None else said in _TRUE
        if isinstance(node.value, str):
            self.wrong(node, f"true or false is asked for, got {said[:40]}")
        return default


class _RefusedError(Exception):
    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def _loader() -> Any:
    """PyYAML's safe loader, less aliases, and with a bottom."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.peek_event()
            if isinstance(event, yaml.AliasEvent):
                raise _RefusedError(f"aliases (*{event.anchor}) are not read", event.start_mark.line + 1)
            self.depth += 1
            if self.depth > DEEPEST:
                raise _RefusedError(f"goes more than {DEEPEST} levels deep", event.start_mark.line + 1)
            try:
                return super().compose_node(parent, index)
            finally:
                self.depth -= 1

    return Loader
