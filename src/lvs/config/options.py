"""The one table of every option, for both languages.

The readers, the validator, the renderers, "did you mean" and the reference in
docs/configuration.md all go by it. Its order is the order in which files are written. Options of
checks have a table of their own, `lvs.config.checks`.
"""

from __future__ import annotations

from lvs.config import global_options, virtual_options
from lvs.config.option import Option, Scope

OPTIONS: tuple[Option, ...] = (*global_options.OPTIONS, *virtual_options.OPTIONS)

GLOBAL: dict[str, Option] = {option.name: option for option in OPTIONS if option.scope is Scope.GLOBAL}
VIRTUAL: dict[str, Option] = {option.name: option for option in OPTIONS if option.scope is Scope.VIRTUAL}
SERVER: dict[str, Option] = {option.name: option for option in OPTIONS if option.scope is Scope.SERVER}
NAMES = frozenset(option.name for option in OPTIONS)
BY_SCOPE: dict[Scope, dict[str, Option]] = {
    Scope.GLOBAL: GLOBAL,
    Scope.VIRTUAL: VIRTUAL,
    Scope.SERVER: SERVER,
}
