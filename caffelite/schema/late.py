"""Fields whose messages are declared in modules that are imported when they are first needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from caffelite.schema.message import FieldSpec, Message


class Late(FieldSpec):
    """A field that holds a message: its name and number stand, its type is what `find` gives when
    it is first asked for. `home` is the module that declares that message."""

    def __init__(self, number: int, find: Callable[[], type[Message]], home: str = "") -> None:
        super().__init__(number, Message)
        del self.type
        self.home, self._find = home, find

    def __getattr__(self, name: str) -> Any:
        if name != "type":
            raise AttributeError(name)
        self.type = self._find()
        return self.type
