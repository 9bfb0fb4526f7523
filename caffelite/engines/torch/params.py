"""Params: the parameters of a net as tensors.

On the CPU they share the arena's memory. Anywhere else the arena has a copy, and who has the newer
values is kept note of: the host's arrays are brought up to date before someone looks at them, and
sent back before the device reads them.
"""

from __future__ import annotations

import weakref

import torch
from torch import Tensor

from caffelite.blob import Blob
from caffelite.engines.torch.device import Place
from caffelite.run.arena import Arena, ParamBlob


class ArenaTwin:
    """An arena's two vectors on a device."""

    def __init__(self, arena: Arena, place: Place) -> None:
        self.place = place
        self._arena = weakref.ref(arena)
        self._data: Tensor | None = None
        self._diff: Tensor | None = None
        self._host_newer = True
        self._device_newer = False
        if not place.shares:
            arena.watcher = self.fetch

    @property
    def arena(self) -> Arena:
        arena = self._arena()
        assert arena is not None
        return arena

    @property
    def data(self) -> Tensor:
        """The values."""
        if self._data is None:
            self._data = self.place.twin(self.arena._data)
        return self._data

    @property
    def diff(self) -> Tensor:
        """The gradients."""
        if self._diff is None:
            self._diff = self.place.twin(self.arena.raw_diff)
        return self._diff

    def send(self) -> None:
        """Before the device reads: what may have been written on the host goes there."""
        if self.place.shares or not self._host_newer:
            return
        self.data.copy_(torch.from_numpy(self.arena._data))
        if self.arena._diff is not None:
            self.diff.copy_(torch.from_numpy(self.arena._diff))
        self._host_newer = False

    def written(self) -> None:
        """The device has written values or gradients."""
        self._device_newer = not self.place.shares

    def fetch(self) -> None:
        """Before the host looks, and perhaps writes: what the device has written comes there."""
        if self._device_newer:
            torch.from_numpy(self.arena._data).copy_(self.data)
            if self._diff is not None:
                torch.from_numpy(self.arena.raw_diff).copy_(self._diff)
            self._device_newer = False
        self._host_newer = True


_twins: weakref.WeakKeyDictionary[Arena, dict[str, ArenaTwin]] = weakref.WeakKeyDictionary()


def twin_of(arena: Arena, place: Place) -> ArenaTwin:
    """The arena's twin; one for all nets that use its parameters."""
    twins = _twins.setdefault(arena, {})
    if place.name not in twins:
        twins[place.name] = ArenaTwin(arena, place)
    return twins[place.name]


class Params:
    """The parameters of one net: its own, and those that other nets lend it."""

    def __init__(self, arena: Arena, place: Place) -> None:
        self.place, self.device = place, place.device
        self.arena = arena
        self.dtype = torch.float32 if arena.dtype.itemsize == 4 else torch.float64
        self.twins = [twin_of(a, place) for a in (arena, *arena.lenders)]

    def data(self, blob: Blob) -> Tensor:
        """A parameter's values, in its layer's shape."""
        assert isinstance(blob, ParamBlob)
        home = blob.home
        return twin_of(home.arena, self.place).data[home.where].view(blob._data.shape)

    def diff(self, blob: Blob) -> Tensor:
        """A parameter's gradient, in its layer's shape."""
        assert isinstance(blob, ParamBlob)
        return twin_of(blob.arena, self.place).diff[blob.where].view(blob._data.shape)

    def send(self) -> None:
        """Before a pass."""
        for twin in self.twins:
            twin.send()

    def written(self) -> None:
        """After a pass: gradients have been written, and statistics."""
        for twin in self.twins:
            twin.written()
