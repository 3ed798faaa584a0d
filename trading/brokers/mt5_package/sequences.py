"""Tuples with attributes as CPython's struct sequences make them, not as `collections.namedtuple` does.

The constructor takes one iterable, and there is no `_fields`, `_replace` or `_make` that
code could come to rely on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeVar

_ZEROS = {"int": 0, "float": 0.0, "bool": False, "str": ""}
S = TypeVar("S", bound="StructSequence")


class StructSequence(tuple[Any, ...]):
    """A tuple whose places have the names that a subclass annotates, in that order.

    Raises
    ------
    TypeError
        Anything but one iterable of exactly `n_fields` values.
    """

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()
    n_fields: ClassVar[int] = 0
    n_sequence_fields: ClassVar[int] = 0
    n_unnamed_fields: ClassVar[int] = 0
    __zeros__: ClassVar[tuple[Any, ...]] = ()
    __places__: ClassVar[Mapping[str, int]] = MappingProxyType({})
    __nested__: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        names = tuple(cls.__annotations__)
        setattr(cls, "__match_args__", names)  # noqa: B010 (typed as fixed)
        cls.n_fields = cls.n_sequence_fields = len(names)
        cls.__zeros__ = tuple(_ZEROS.get(kind) for kind in cls.__annotations__.values())
        cls.__nested__ = frozenset(name for name, kind in cls.__annotations__.items() if kind not in _ZEROS)
        cls.__places__ = MappingProxyType({name: place for place, name in enumerate(names)})
        for place, name in enumerate(names):
            setattr(cls, name, property(itemgetter(place)))

    def __new__(cls, sequence: Iterable[Any], /) -> Self:
        """Make one from exactly `n_fields` values."""
        values = tuple(sequence)
        if len(values) != cls.n_fields:
            raise TypeError(f"{cls.__name__}() takes a {cls.n_fields}-sequence ({len(values)}-sequence given)")
        return super().__new__(cls, values)

    def __repr__(self) -> str:
        pairs = zip(self.__match_args__, self, strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in pairs)})"

    def _asdict(self) -> dict[str, Any]:
        """Return names and values; a nested struct stays a struct, as in the package."""
        return dict(zip(self.__match_args__, self, strict=True))


def filled(struct: type[S], **values: Any) -> S:
    """Return a struct with the given fields, all others zero or empty as the terminal leaves them.

    Raises
    ------
    TypeError
        A name the struct does not have, or none for a struct within it.
    """
    fields, places = list(struct.__zeros__), struct.__places__
    for name, value in values.items():
        if name not in places:
            raise TypeError(f"{struct.__name__} has no field {name!r}")
        fields[places[name]] = value
    if struct.__nested__ and not struct.__nested__ <= values.keys():
        raise TypeError(f"{struct.__name__} has fields without a zero: {', '.join(sorted(struct.__nested__))}")
    return struct(fields)
