"""Whose a key of the settings is, said at the key itself, and the lists that follow from it.

| role | who decides | travels with the models | recorded as in force |
|---|---|---|---|
| STRATEGY | the optimiser | yes | yes |
| LEARNED | training: what the models learned from | yes | no |
| LIMIT | the owner: what protects the account | no | yes |
| WORLD | nobody: the account, its broker and costs | no | no |
| OWNER | the owner: how the program runs | no | no |

A key is given its role where it is declared, `Annotated[float, Role.LIMIT]`; a role on a section
stands for all its keys. A key without a role is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from novosky.settings.base import Section


class Role(Enum):
    """Whose a key is."""

    STRATEGY = "strategy"
    LEARNED = "learned"
    LIMIT = "limit"
    WORLD = "world"
    OWNER = "owner"


def places_with(settings: type[Section], *roles: Role) -> tuple[str, ...]:
    """Return the dotted places of these roles, in the order of their declaration.

    A section that has the role as a whole is one place.

    Raises
    ------
    TypeError
        A key has no role, or more than one.
    """
    return tuple(place for place, role in _roles_of(settings, "") if role in roles)


def _roles_of(section: type[Section], prefix: str) -> Iterator[tuple[str, Role]]:
    for name, field in section.model_fields.items():
        place = prefix + (field.alias or name)
        stated = [mark for mark in field.metadata if isinstance(mark, Role)]
        inner = field.annotation
        if len(stated) == 1:
            yield place, stated[0]
        elif not stated and isinstance(inner, type) and issubclass(inner, Section):
            yield from _roles_of(inner, f"{place}.")
        else:
            raise TypeError(f"{section.__name__}.{name} has {len(stated)} roles; give it one of novosky.settings.roles")
