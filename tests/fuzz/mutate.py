"""Damage: a valid file, changed as disks, networks and attackers change files."""

from __future__ import annotations

import numpy as np

NUMBERS = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1]
NUMBERS += [2**63 - 1, 2**63, 2**64 - 1, 10**9, 10**10]
WORDS = [b"nan", b"1_000", b"\xd9\xa1", b"-", b"1e999", b"\0", b"\x1b[31m", b"\r", b'"', b","]
WORDS += [b"9" * 50, b"{", b"[" * 50, b"\xff\xfe"]


def mutate(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes, of `data` alone or with parts of `other`."""
    for _ in range(rng.integers(1, 5)):
        data = CHANGES[rng.integers(len(CHANGES))](data, other, rng)
    return data


def _place(data: bytes, rng: np.random.Generator) -> int:
    """Somewhere; often near the beginning, where headers are."""
    near = rng.integers(2) and len(data) > 200
    return int(rng.integers(min(len(data), 200) if near else len(data) + 1))


def _flip(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(rng.integers(1, 9)):
        changed[_place(changed[1:], rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _number(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    at, size = _place(data, rng), int(rng.choice([1, 2, 4, 8]))
    value = int(rng.choice(np.array(NUMBERS, np.uint64))) % 2 ** (8 * size)
    order = "little" if rng.integers(2) else "big"
    return data[:at] + value.to_bytes(size, order) + data[at + size :]  # type: ignore[arg-type]


def _word(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    at = _place(data, rng)
    return data[:at] + WORDS[rng.integers(len(WORDS))] + data[at + int(rng.integers(4)) :]


def _cut(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    return data[: _place(data, rng)]


def _drop(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + int(rng.integers(1, 64)) :]


def _repeat(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    at, size = _place(data, rng), int(rng.integers(1, 64))
    return data[:at] + data[at : at + size] * int(rng.integers(2, 5)) + data[at + size :]


def _splice(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    start, at, size = _place(other, rng), _place(data, rng), int(rng.integers(1, 512))
    return data[:at] + other[start : start + size] + data[at + size :]


def _noise(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    at, size = _place(data, rng), int(rng.integers(1, 32))
    return data[:at] + rng.bytes(size) + data[at + size :]


CHANGES = [_flip, _flip, _number, _number, _word, _cut, _drop, _repeat, _splice, _noise]
