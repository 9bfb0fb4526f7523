"""Cell: one value of a net, on the host and on the device, and who has the newer one.

What Caffe calls synced memory: a value is nowhere yet, newer on the host, newer on the device, or
alike on both. On the CPU "the device" is a tensor in whatever memory order its operator gave it; a
tensor over the host array's own memory is alike on both without a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from caffelite.blob import Array
from caffelite.engines.torch.device import Place


class Clock:
    """Counts passes."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0

    def tick(self) -> None:
        self.now += 1


class State(NamedTuple):
    """Where a cell's value is, for a pass that is replayed without its Python code."""

    tensor: Tensor | None
    tensor_ok: bool
    host_ok: bool
    handed: bool
    aliased: bool
    sent: int


class Cell:
    """A value. `make` gives its host array, zeros at first; it is not called before it is needed.

    A host array that was handed out may be written at any time between passes. So it counts as
    newer at the start of each pass; and on the CPU what a pass makes is also written there, so
    that who kept it sees the new values, as with NumPy."""

    __slots__ = (
        "_clock",
        "_home",
        "_make",
        "_place",
        "_sent",
        "aliased",
        "handed",
        "host_ok",
        "tensor",
        "tensor_ok",
    )

    def __init__(self, make: Callable[[], Array], place: Place, clock: Clock) -> None:
        self._make, self._place, self._clock = make, place, clock
        self._home: Tensor | None = None
        self.tensor: Tensor | None = None
        self.host_ok, self.tensor_ok = True, False
        self.handed = False
        self.aliased = False
        """Does another value see the tensor's memory?"""
        self._sent = -1

    @property
    def home(self) -> Tensor:
        """The host array, seen by PyTorch."""
        if self._home is None:
            self._home = torch.from_numpy(self._make())
        return self._home

    def moved(self, make: Callable[[], Array]) -> None:
        """The host array is another one now, with the same values as far as they count."""
        if not self.host_ok and self.handed and self.tensor_ok:
            self.fetch()
        self._make, self._home = make, None
        if self.tensor is not None and self.host_ok and self._place.shares:
            self.tensor, self.tensor_ok, self.aliased = None, False, False

    # For the device.

    def read(self, packed: bool = False) -> Tensor:
        """The tensor, up to date; `packed`: with the channels innermost, if it is 4-D."""
        if self.handed and self._sent != self._clock.now:
            self._sent = self._clock.now
            self.tensor_ok = self._shares_home()
        if not self.tensor_ok:
            self._send()
        tensor = self.tensor
        assert tensor is not None
        apart = packed and tensor.ndim == 4
        if apart and not tensor.is_contiguous(memory_format=torch.channels_last):
            # kept: the backward pass reads it again
            self.tensor = tensor = tensor.contiguous(memory_format=torch.channels_last)
            self.aliased = False
        return tensor

    def _shares_home(self) -> bool:
        return self._place.shares and self.tensor is not None and self.tensor is self._home

    def _send(self) -> None:
        home, old = self.home, self.tensor
        if self._place.shares:
            self.tensor = home
        elif old is not None and old.shape == home.shape and not self.aliased:
            old.copy_(home)
        else:
            self.tensor = home.to(self._place.device, copy=True)
        self.aliased = False
        self.tensor_ok = True

    def spare(self) -> Tensor | None:
        """The tensor of the last pass, if it may be overwritten."""
        return None if self.aliased else self.tensor

    def write(self, tensor: Tensor, aliased: bool = False) -> None:
        """The device has a new value."""
        self.tensor, self.tensor_ok, self.aliased = tensor, True, aliased
        self._sent = self._clock.now
        if tensor is self._home:
            self.host_ok = True
        elif not self.handed:
            self.host_ok = False
        elif self._place.shares:
            self.home.copy_(tensor)
            self.host_ok = True
        else:
            self.host_ok = self.handed = False

    def drop(self) -> None:
        """Nobody reads the value any more."""
        self.tensor, self.tensor_ok, self.aliased = None, False, False

    def let_go(self) -> None:
        """The same, unless somebody holds the host array."""
        if not self.handed:
            self.drop()

    # For the host.

    def fetch(self) -> None:
        """Bring the host array up to date."""
        if not self.host_ok and self.tensor is not None:
            self.home.copy_(self.tensor)
            self.host_ok = True

    def hand_out(self) -> None:
        """The host array is needed, and may be written from now on."""
        self.fetch()
        self.handed = True

    def host_wrote(self) -> None:
        """A layer on the host has written the host array."""
        self.host_ok, self.tensor_ok = True, False
        self._sent = self._clock.now

    # For passes that are replayed.

    def state(self) -> State:
        """What `put` brings back."""
        held = self.tensor, self.tensor_ok, self.host_ok, self.handed, self.aliased
        return State(*held, self._sent)

    def put(self, state: State) -> None:
        """Let the cell be as it was."""
        self.tensor, self.tensor_ok, self.host_ok = state.tensor, state.tensor_ok, state.host_ok
        self.handed, self.aliased, self._sent = state.handed, state.aliased, state.sent

    def apart_from(self, tensor: Tensor) -> bool:
        """Would `bring` have to write?"""
        stale = self.handed and self._sent != self._clock.now
        return stale or not self.tensor_ok or self.tensor is not tensor

    def bring(self, tensor: Tensor) -> None:
        """Let this very tensor have the value."""
        if (self.handed and self._sent != self._clock.now) or not self.tensor_ok:
            tensor.copy_(self.home)
        elif self.tensor is not tensor:
            assert self.tensor is not None
            tensor.copy_(self.tensor)
        self.tensor, self.tensor_ok, self._sent = tensor, True, self._clock.now

    def replayed(self, state: State, wrote: bool) -> None:
        """A replay has left the value as the recorded pass did."""
        self.tensor, self.tensor_ok, self.aliased = state.tensor, state.tensor_ok, state.aliased
        self._sent = self._clock.now
        if wrote:
            self.host_ok = self.handed = False
