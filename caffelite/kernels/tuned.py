"""Numbers that were found by measuring speed."""

from __future__ import annotations

from typing import TypeAlias

Tuned: TypeAlias = int
"""`NAME: Tuned = …` in a module of this room: which of two ways is taken, or how much is done at a
time. Any number from 1 on gives the same values, within the bounds of memory that are set by others
(such as COLUMN_BYTES, which is therefore no Tuned); only time differs.

tests/kernels/test_tuned.py holds each to that, and tests/mutation makes no mistakes in them."""
