"""Many samples through a net, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from caffelite.blob import Array
from caffelite.errors import NetError, Problem

if TYPE_CHECKING:
    from caffelite.pycaffe.net import Net

Arrays = dict[str, Any]
"""Arrays by the names of blobs."""


def forward_all(net: Net, blobs: Iterable[str] | None, inputs: Mapping[str, Any]) -> Arrays:
    """Run forward over samples of any number; the outputs and the named `blobs` of all."""
    asked = list(blobs or [])
    _known(inputs, net.inputs, "not an input")
    found = _lists([*net.outputs, *asked])
    for batch in batches(net, inputs):
        _gather(found, net.forward(blobs=asked, **batch))
    return _cut(found, _count(inputs))


def forward_backward_all(
    net: Net, blobs: Iterable[str] | None, diffs: Iterable[str] | None, given: Mapping[str, Any]
) -> tuple[Arrays, Arrays]:
    """As `forward_all`, and backward too: inputs, and outputs' gradients, by name."""
    asked, of = list(blobs or []), list(diffs or [])
    _known(given, [*net.inputs, *net.outputs], "neither an input nor an output")
    values, gradients = _lists([*net.outputs, *asked]), _lists([*net.inputs, *of])
    ins = batches(net, {n: given[n] for n in net.inputs if n in given})
    outs = batches(net, {n: given[n] for n in net.outputs if n in given})
    nothing: Arrays = {}
    for forward, backward in zip_longest(ins, outs, fillvalue=nothing):
        _gather(values, net.forward(blobs=asked, **forward))
        _gather(gradients, net.backward(diffs=of, **backward))
    count = _count(given)
    return _cut(values, count), _cut(gradients, count)


def batches(net: Net, blobs: Mapping[str, Any]) -> Iterator[Arrays]:
    """The samples in batches of the net's size, the last one padded with zeros."""
    if not blobs:
        return
    arrays = {name: np.asarray(values) for name, values in blobs.items()}
    size = next(iter(net.blobs.values())).shape[0]
    for at in range(0, _count(arrays), size):
        batch = {name: array[at : at + size] for name, array in arrays.items()}
        for name, array in batch.items():
            if len(array) < size:
                zeros = np.zeros((size - len(array), *array.shape[1:]), array.dtype)
                batch[name] = np.concatenate([array, zeros])
        yield batch


def _known(given: Mapping[str, Any], names: list[str], what: str) -> None:
    if not given:
        raise NetError(Problem("no samples were given", expected=", ".join(names)))
    unknown = ", ".join(sorted(set(given) - set(names)))
    if unknown:
        raise NetError(Problem(f"{unknown}: {what} of the net", expected=", ".join(names)))


def _lists(names: Iterable[str]) -> dict[str, list[Array]]:
    return {name: [] for name in names}


def _gather(found: dict[str, list[Array]], batch: Arrays) -> None:
    for name, array in batch.items():
        found[name].extend(array.copy())


def _count(arrays: Mapping[str, Any]) -> int:
    return len(next(iter(arrays.values())))


def _cut(found: Mapping[str, list[Array]], count: int) -> Arrays:
    """Arrays of so many samples, without the padding."""
    return {name: np.asarray(values)[:count] for name, values in found.items()}
