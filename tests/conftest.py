"""What one test asks for must not be what the next one gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from caffelite import engines, mode
from caffelite.kernels import parallel


@pytest.fixture(autouse=True)
def _nothing_asked_for() -> Iterator[None]:
    """Engine, device and threads are as at the start of the process."""
    before, threads = replace(mode.request), parallel.threads()
    engines._said.clear()
    yield
    mode.request.__dict__.update(before.__dict__)
    parallel.set_threads(threads)
