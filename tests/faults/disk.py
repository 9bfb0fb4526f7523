"""A disk that fails where it is told to, and one that a power cut has left.

Files are written for real, through a layer that notes each system call that changes something. A
call may be made to fail: with an error, or after half of its bytes. And from the notes follow all
states that a crash after any of the calls may leave on a disk that keeps only what was flushed:
of bytes that were not, none, half or all; of changes of names that were not, any.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from caffelite import seal
from caffelite.schema import binary


@dataclass(frozen=True)
class Call:
    """A system call: create, write, flush, rename, unlink, mode, or flush-names."""

    what: str
    name: str = ""
    data: bytes = b""
    to: str = ""


@dataclass
class Disk:
    """The layer. The call number `fail_at` (from 0) fails with `error`; `torn`: a write that fails
    has written half of its bytes."""

    fail_at: int = -1
    error: int = 0
    torn: bool = False
    calls: list[Call] = field(default_factory=list)
    _open: dict[int, str] = field(default_factory=dict)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put it under everything that is written whole or not at all."""
        for module in (binary, seal):
            monkeypatch.setattr(module, "open", self._open_file, raising=False)
        monkeypatch.setattr(binary, "os", _With(os, self, ["open", "close", "fsync", "replace"]))
        monkeypatch.setattr(binary, "shutil", _With(shutil, self, ["copymode"]))
        unlink = Path.unlink

        def unlinked(path: Path, *args: Any) -> None:
            unlink(path, *args)
            self.calls.append(Call("unlink", path.name))

        monkeypatch.setattr(Path, "unlink", unlinked)

    def call(self, call: Call) -> None:
        """Note a call, or let it fail."""
        if len(self.calls) == self.fail_at:
            self.fail_at = -1
            raise OSError(self.error, os.strerror(self.error))
        self.calls.append(call)

    def _open_file(self, path: Any, mode: str = "r", **options: Any) -> Any:
        name = Path(path).name
        if mode == "xb":
            self.call(Call("create", name))
        elif "+" in mode:
            self._made_elsewhere(Path(path))
        return _File(open(path, mode, **options), name, self)

    def _made_elsewhere(self, path: Path) -> None:
        """A file that HDF5's library has written: its calls are not seen, so they are one."""
        if not any(call.what == "create" and call.name == path.name for call in self.calls):
            self.call(Call("create", path.name))
            self.call(Call("write", path.name, path.read_bytes()))

    def open(self, path: Any, flags: int) -> int:
        number = os.open(path, flags)
        self._open[number] = str(path)
        return number

    def close(self, number: int) -> None:
        self._open.pop(number)
        os.close(number)

    def fsync(self, number: int) -> None:
        path = Path(self._open[number])
        self.call(Call("flush-names") if path.is_dir() else Call("flush", path.name))
        os.fsync(number)

    def replace(self, old: Any, new: Any) -> None:
        self.call(Call("rename", Path(old).name, to=Path(new).name))
        os.replace(old, new)

    def copymode(self, old: Any, new: Any) -> None:
        self.call(Call("mode", Path(new).name))
        shutil.copymode(old, new)


class _With:
    """A module, some of whose functions are the disk's."""

    def __init__(self, module: Any, disk: Disk, names: list[str]) -> None:
        self._module = module
        for name in names:
            setattr(self, name, getattr(disk, name))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _File:
    """An open file, whose writes are noted."""

    def __init__(self, file: Any, name: str, disk: Disk) -> None:
        self._file, self._name, self._disk = file, name, disk

    def write(self, data: bytes) -> int:
        try:
            self._disk.call(Call("write", self._name, bytes(data)))
        except OSError:
            if self._disk.torn:
                self._file.write(data[: len(data) // 2])
            raise
        return int(self._file.write(data))

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


Contents = dict[str, bytes]


def crash_states(before: Contents, calls: list[Call]) -> Iterator[tuple[int, Contents]]:
    """What may be on the disk if it stops after any number of the calls: (how many, files)."""
    for count in range(len(calls) + 1):
        seen = set()
        for state in _after(before, calls[:count]):
            key = tuple(sorted(state.items()))
            if key not in seen:
                seen.add(key)
                yield count, state


def _after(before: Contents, calls: list[Call]) -> Iterator[Contents]:
    names: dict[str, int] = {name: i for i, name in enumerate(before)}
    """The names that are flushed, and the files that they are of."""
    flushed: dict[int, bytes] = dict(enumerate(before.values()))
    written = dict(flushed)
    now = dict(names)
    pending: list[tuple[str, str, int]] = []
    for call in calls:
        if call.what == "create":
            file = len(written)
            written[file], flushed[file], now[call.name] = b"", b"", file
            pending.append(("set", call.name, file))
        elif call.what == "write":
            written[now[call.name]] += call.data
        elif call.what == "flush":
            flushed[now[call.name]] = written[now[call.name]]
        elif call.what == "rename":
            file = now[call.to] = now.pop(call.name)
            pending.append((f"rename {call.name}", call.to, file))
        elif call.what == "unlink":
            now.pop(call.name, None)
            pending.append(("unlink", call.name, -1))
        elif call.what == "flush-names":
            names, pending = dict(now), []
    for done in product([False, True], repeat=len(pending)):
        state = dict(names)
        for (what, name, file), is_done in zip(pending, done):
            if is_done and what == "unlink":
                state.pop(name, None)
            elif is_done:
                state[name] = file
                state.pop(what[7:] if what.startswith("rename") else "", None)
        unsure = [f for f in set(state.values()) if flushed[f] != written[f]]
        for parts in product([0.0, 0.5, 1.0], repeat=len(unsure)):
            share = dict(zip(unsure, parts))
            yield {n: _torn(flushed[f], written[f], share.get(f, 1.0)) for n, f in state.items()}


def _torn(flushed: bytes, written: bytes, share: float) -> bytes:
    new = len(written) - len(flushed)
    return written[: len(flushed) + int(new * share)]
