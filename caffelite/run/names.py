"""Dictionaries by name that suggest what may have been meant."""

from __future__ import annotations

from collections import OrderedDict
from typing import NoReturn, TypeVar

from caffelite.errors import did_you_mean

T = TypeVar("T")


class Named(OrderedDict[str, T]):
    """Things by name, in order; a missing name is reported with the closest one."""

    def __missing__(self, name: str) -> NoReturn:
        hint = did_you_mean(name, self) if isinstance(name, str) else None
        raise KeyError(f"{name!r}; {hint}" if hint else name)
