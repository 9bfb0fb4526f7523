"""Who can take part: caffelite on each of its engines, and those it is compared with."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A sort of contender: the process that runs it, and what that is told."""

    key: str
    title: str
    module: str
    word: str = ""
    ours: bool = False
    torch: bool = False
    """Is PyTorch's interpreter needed?"""


KINDS = {
    kind.key: kind
    for kind in (
        Kind("numpy", "caffelite numpy", "run_caffelite", "numpy", ours=True),
        Kind("torch", "caffelite torch", "run_caffelite", "torch", ours=True),
        Kind("onnxruntime", "caffelite onnxruntime", "run_caffelite", "onnxruntime", ours=True),
        Kind("auto", "caffelite auto", "run_caffelite", "auto", ours=True),
        Kind("pytorch", "PyTorch", "run_torch", "default", torch=True),
        Kind("channels-last", "channels-last", "run_torch", "channels-last", torch=True),
        Kind("ort", "ONNX Runtime", "run_onnx"),
        Kind("hand", "NumPy by hand", "by_hand"),
    )
}
USUAL = ("numpy", "torch", "onnxruntime", "pytorch", "channels-last", "ort", "hand")


@dataclass(frozen=True)
class Entry:
    """One contender of this run."""

    kind: Kind
    threads: int
    title: str


def entries(names: list[str], threads: int, beside: bool) -> list[Entry]:
    """The contenders named, as `numpy` or `numpy@1` (on one thread). Beside a busy process each
    engine of ours runs on one thread too: that is what it must not fall far behind.

    Errors: ValueError for an unknown name."""
    found: list[Entry] = []
    for name in names:
        key, _, number = name.partition("@")
        if key not in KINDS or (number and not (number.isdigit() and int(number))):
            raise ValueError(
                f"no contender {name}; there are {', '.join(KINDS)}; numpy@1 is numpy on 1 thread"
            )
        kind, own = KINDS[key], int(number or threads)
        wanted = [own, 1] if beside and kind.ours and own > 1 else [own]
        for count in wanted:
            plain = count == threads
            title = kind.title if plain else f"{kind.title}, {count} thread{'s' * (count > 1)}"
            entry = Entry(kind, count, title)
            if entry not in found:
                found.append(entry)
    return found


HERE = os.path.dirname(os.path.abspath(__file__))
NETS = os.path.join(os.path.dirname(os.path.dirname(HERE)), "nets")
BATCHES = {
    "spiral": 20,
    "lenet": 64,
    "cifar10_quick": 100,
    "caffenet": 16,
    "squeezenet_v1.1": 16,
    "resnet18": 8,
    "googlenet": 8,
    "mobilenet_v1": 8,
}
"""The nets that "all" means, and the batch that each is measured at if none is asked for."""


def net_files() -> dict[str, str]:
    """Name to path of every net that comes with caffelite."""
    names = sorted(name for name in os.listdir(NETS) if name.endswith(".net"))
    return {name.removesuffix(".net"): os.path.join(NETS, name) for name in names}


def find_net(name: str) -> str:
    """The path of a net given by path, by name, or by a part of its name that only it has.

    Errors: ValueError, with the names there are."""
    known = net_files()
    if os.path.isfile(name) or os.sep in name or name.endswith((".net", ".prototxt")):
        return os.path.abspath(name)
    close = [stem for stem in known if name in stem]
    if name in known or len(close) == 1:
        return known.get(name) or known[close[0]]
    what = f"{name} is {', '.join(close)}" if close else f"no net {name}"
    raise ValueError(f"{what}; expected a path, all, or one of {', '.join(known)}")


def usual_batch(path: str) -> int:
    """The batch of one of our nets; 0 (as the file says) for others."""
    folder, name = os.path.split(path)
    return BATCHES.get(name.removesuffix(".net"), 0) if folder == NETS else 0
