"""Dataclasses of plain values that are kept in JSON."""

from __future__ import annotations

from dataclasses import MISSING, asdict, fields
from typing import Any, Self, cast


class Plain:
    """A mixin for dataclasses: `to_dict` for JSON and `from_dict` back from it; lists become tuples."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(cast(Any, self))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """What `to_dict` wrote.  Raises ValueError that names unknown and missing fields."""
        known = fields(cast(Any, cls))
        unknown = [name for name in data if name not in {each.name for each in known}]
        needed = [each.name for each in known if each.default is MISSING and each.default_factory is MISSING]
        missing = [name for name in needed if name not in data]
        faults = [f"{what} {', '.join(names)}" for what, names in (("unknown", unknown), ("missing", missing)) if names]
        if faults:
            raise ValueError(
                f"not a {cls.__name__}: {'; '.join(faults)}; its fields: {', '.join(each.name for each in known)}"
            )
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in data.items()})
