"""Nets for the tests of this engine: the same net on NumPy and on PyTorch."""

from __future__ import annotations

from typing import Any

import torch

from caffelite import Net
from caffelite.engines.torch.device import CPU, Place
from caffelite.engines.torch.session import TorchSession
from caffelite.errors import Source
from caffelite.run.blobs import blobs_of
from caffelite.run.executor import Executor
from caffelite.run.session import Session, Setting
from caffelite.schema.bind import bind
from caffelite.schema.net import NetParameter
from caffelite.text import parse

APART = Place(torch.device("cpu"), shares=False)
"""The test double of a second device: tensors that share no memory with the host's arrays."""


def net_param(text: str) -> NetParameter:
    return bind(parse(Source("<net>", text)), NetParameter)


def on_torch(net: Net, place: Place = CPU) -> Net:
    """A net that has run nothing yet, on PyTorch."""

    def make(setting: Setting, previous: Session | None) -> Session:
        return TorchSession(setting, previous, place)

    net.executor = Executor(net.plan, net.arena, net.streams, make)
    net.layers = net.executor.layers
    net.blobs = blobs_of(net.executor)
    return net


def pair(source: Any, *args: Any, place: Place = CPU, **kwargs: Any) -> tuple[Net, Net]:
    """A net on NumPy and the same on PyTorch."""
    kwargs["engine"] = "numpy"
    return Net(source, *args, **kwargs), on_torch(Net(source, *args, **kwargs), place)
