"""Random streams: every source of chance has its own, all from one seed.

A stream is found by name ("train/drop6"), and its seed comes from the run's seed and the name
alone. Adding a layer therefore changes nobody else's numbers, and a run is repeated by its seed.
The state of all streams goes into the snapshot, so resuming continues the very run.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

_default_seed: int | None = None


def set_random_seed(seed: int) -> None:
    """Set the seed of nets and solvers that are made from now on without one of their own."""
    global _default_seed
    _default_seed = seed if seed >= 0 else None


class Streams:
    """The random streams of one run. `seed` None or negative takes one from the system."""

    def __init__(self, seed: int | None = None) -> None:
        if seed is None or seed < 0:
            seed = _default_seed
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        self.seed = seed
        self._streams: dict[str, np.random.Generator] = {}

    def get(self, name: str) -> np.random.Generator:
        """The stream `name`; made when first asked for."""
        if name not in self._streams:
            self._streams[name] = self.fresh(name)
        return self._streams[name]

    def fresh(self, name: str) -> np.random.Generator:
        """A generator at the start of the stream `name`, which is not kept."""
        key = np.random.SeedSequence(self.seed, spawn_key=(zlib.crc32(name.encode()),))
        return np.random.Generator(np.random.PCG64(key))

    def state(self) -> dict[str, Any]:
        """The seed and where each stream stands, in values that JSON can hold."""
        states = {name: g.bit_generator.state for name, g in sorted(self._streams.items())}
        return {"seed": self.seed, "streams": states}

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a `state()`; streams it does not name start afresh."""
        self.seed = state["seed"]
        for name in [*self._streams, *state["streams"]]:
            generator = self.get(name)  # kept by layers, so its state is set in place
            at = state["streams"].get(name)
            generator.bit_generator.state = at or self.fresh(name).bit_generator.state
