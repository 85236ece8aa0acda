# SPDX-License-Identifier: BSD-2-Clause
"""Named parameters: Penstock knows ?1, ?2, ..., so a dict's values are put in the order in which SQLite numbers the names."""

from __future__ import annotations

import functools
import re
from typing import Any, Mapping

from .errors import InterfaceError

_WORDS = re.compile(
    r"""--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|\w[\w$]*|(?P<name>[:@$]\w+(?:::\w+)*(?:\([^)]*\))?)|(?P<bare>\?\d*)""",
    re.DOTALL,
)


@functools.lru_cache(1024)
def names_of(sql: str) -> tuple[str, ...]:
    """The names in order, without their first letter. InterfaceError: a ? among them."""
    names: dict[str, None] = {}
    for word in _WORDS.finditer(sql):
        if word.group('bare'):
            raise InterfaceError('named values are for :name, @name and $name, not for ?')
        if word.group('name'):
            names[word.group('name')] = None
    return tuple(name[1:] for name in names)


def in_order(sql: str, params: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of a dict as a tuple. InterfaceError: one is missing."""
    try:
        return tuple(params[name] for name in names_of(sql))
    except KeyError as error:
        raise InterfaceError(f'there is no value for the parameter {error.args[0]}') from None
