"""Place: where tensors live, and whether NumPy sees the same memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from caffelite.blob import Array
from caffelite.engines.torch.graphs import Graphs, graphs_of


@dataclass(frozen=True)
class Place:
    """A device. `shares`: NumPy arrays and tensors are the same memory, so nothing is copied. A
    place on the CPU that does not share behaves as a second device, which is how the copies are
    tested without one."""

    device: torch.device
    shares: bool
    graphs: Graphs | None = None
    """What records passes there, if anything."""

    @property
    def name(self) -> str:
        return f"{self.device}{'' if self.shares else ' apart'}"

    def twin(self, array: Array) -> Tensor:
        """A tensor with an array's values: the same memory, or a copy on the device."""
        tensor = torch.from_numpy(array)
        return tensor if self.shares else tensor.to(self.device, copy=True)

    def finish(self) -> None:
        """Wait for the kernels that have been started on the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()


CPU = Place(torch.device("cpu"), shares=True)


def place_of(name: str) -> Place:
    """The place that "cpu", "cuda", "cuda:1" or "mps" names. Raises RuntimeError, with the reason,
    where there is no such device here."""
    device = torch.device(name)
    if device.type == "cpu":
        return CPU
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise RuntimeError("PyTorch finds no CUDA device here")
        if (device.index or 0) >= torch.cuda.device_count():
            raise RuntimeError(f"there are {torch.cuda.device_count()} CUDA devices, from 0 on")
    elif device.type == "mps":
        if not torch.backends.mps.is_available():
            raise RuntimeError("PyTorch finds no Apple GPU here")
    else:
        raise RuntimeError(f'"{name}" is none of cpu, cuda, cuda:N, mps')
    return Place(device, shares=False, graphs=graphs_of(device))
