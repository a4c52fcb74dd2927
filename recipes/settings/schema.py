"""Plain data into dataclasses, with every fault at once.

A recipe is data: it may name a model or a data set, never an import path, an environment variable or code.  What the
dataclasses say is all that a recipe may hold; the rest is refused by name, with the nearest known key.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from typing import Any, TypeVar

from ...zoo.registry import did_you_mean

T = TypeVar("T")


@dataclass(frozen=True)
class Fault:
    """What is wrong with one setting.

    Attributes:
        path: its dotted key, such as ``optim.lr``; empty where the fault is that of the whole recipe.
        message: what is wrong and what to do.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(ValueError):
    """Faults of a recipe, all of them, one a line."""

    def __init__(self, faults: list[Fault], source: str = "") -> None:
        self.faults = faults
        head = f"{source}: " if source else ""
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__("\n".join([f"{head}{count}", *(f"  - {fault}" for fault in faults)]))


def read(kind: type[T], data: Any, faults: list[Fault], where: str = "") -> T:
    """Make a `kind` (a dataclass) of plain `data`; what is wrong goes to `faults`, and a default stands in for it.

    Args:
        kind: a dataclass whose fields are scalars, lists, literals, optionals, free-form dicts or dataclasses.  A
            field's metadata may say what it ``holds``, for who seeks that elsewhere; ``{0}`` stands for its path.
        data: what a YAML file held.
        faults: receives what is wrong.
        where: dotted path of `data` in the recipe.
    """
    if not isinstance(data, dict):
        faults.append(Fault(where, f"should hold keys and values, not {_shown(data)}"))
        data = {}
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    elsewhere = "".join(
        f" ({f.metadata['holds'].format(_join(where, name))})" for name, f in fields.items() if f.metadata
    )
    for key in data:
        if key not in fields:
            faults.append(Fault(_join(where, key), f"unknown key{did_you_mean(str(key), fields) or elsewhere}"))
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _value(hints[name], data[name], faults, _join(where, name), field)
        elif _required(field) and dataclasses.is_dataclass(hints[name]):
            values[name] = read(hints[name], {}, faults, _join(where, name))
        elif _required(field):
            faults.append(Fault(_join(where, name), "missing key"))
            values[name] = None
    try:
        return kind(**values)
    except ValueError as fault:  # what the dataclass itself refuses
        faults.append(Fault(where, str(fault)))
        return kind(**{name: value for name, value in values.items() if _required(fields[name])})


def _value(hint: Any, data: Any, faults: list[Fault], where: str, field: dataclasses.Field[Any]) -> Any:
    if (part := _part(hint)) is not None and not (data is None and part is not hint):  # a part may be left out as null
        return read(part, data, faults, where)
    try:
        return _convert(hint, data)
    except ValueError as fault:
        faults.append(Fault(where, str(fault)))
        return None if _required(field) else _default(field)


def _part(hint: Any) -> type | None:
    """The dataclass that a hint is, or allows."""
    choices = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    return next((choice for choice in choices if isinstance(choice, type) and dataclasses.is_dataclass(choice)), None)


def _convert(hint: Any, data: Any) -> Any:
    """`data` as `hint`; ValueError says what it should be."""
    if isinstance(data, str) and "${" in data:
        raise ValueError(f"holds {data!r}: a recipe is plain data, nothing in it is looked up or run")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return _literal(arguments, data)
    if origin in (types.UnionType, typing.Union):
        return _union(arguments, data)
    if origin is list:
        if not isinstance(data, list):
            written = f": write [{data}]" if isinstance(data, str) and data else ""
            raise ValueError(f"should be a list, not {_shown(data)}{written}")
        return [_convert(arguments[0], item) for item in data]
    if origin is tuple:
        if not isinstance(data, list | tuple) or len(data) != len(arguments):
            raise ValueError(f"should be a list of {len(arguments)}, not {_shown(data)}")
        return tuple(_convert(kind, item) for kind, item in zip(arguments, data, strict=True))
    if origin is dict:
        if not isinstance(data, dict):
            raise ValueError(f"should hold keys and values, not {_shown(data)}")
        return {str(key): _convert(arguments[1], value) for key, value in data.items()}
    return data if hint is Any else _scalar(hint, data)


def _literal(choices: tuple[Any, ...], data: Any) -> Any:
    if data in choices:
        return data
    written = " | ".join(map(str, choices))
    raise ValueError(f"should be {written}, not {_shown(data)}{did_you_mean(str(data), map(str, choices))}")


def _union(choices: tuple[Any, ...], data: Any) -> Any:
    """As the first choice that takes it."""
    if data is None and type(None) in choices:
        return None
    faults = []
    for choice in (choice for choice in choices if choice is not type(None)):
        try:
            return _convert(choice, data)
        except ValueError as fault:
            faults.append(str(fault))
    raise ValueError(" or ".join(faults))


def _scalar(kind: type, data: Any) -> Any:
    """A number, text or truth value; whole numbers are numbers, and truth values are none."""
    if kind is float and isinstance(data, int | str) and not isinstance(data, bool):
        try:
            return float(data)  # YAML 1.1 reads 1e-4 (no dot) as text
        except ValueError:
            raise ValueError(f"should be a number, not {_shown(data)}") from None
    if not isinstance(data, kind) or (kind is not bool and isinstance(data, bool)):
        raise ValueError(f"should be {_NAMES.get(kind, kind.__name__)}, not {_shown(data)}")
    return data


_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _shown(data: Any) -> str:
    return "nothing" if data is None else repr(data)[:60]


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
