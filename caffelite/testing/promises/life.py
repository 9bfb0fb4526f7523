"""What a layer promises about shapes, nets, texts and people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from caffelite.blob import Array
from caffelite.errors import NetError, Source
from caffelite.layers.base import registry
from caffelite.net import Net
from caffelite.schema.bind import bind
from caffelite.schema.message import Message
from caffelite.schema.net import NetParameter
from caffelite.testing.bench import message_of
from caffelite.testing.contract import (
    FLOAT64,
    Subject,
    fail,
    needs,
    promise,
    same,
)
from caffelite.text import parse


@promise()
def another_batch_size_and_back(subject: Subject) -> None:
    """After a pass over larger bottoms and a reshape back, all is as before."""
    bench = subject.bench().run()
    needs(bench.bottom, "has no bottoms")
    first = bench.results()
    small, count = bench.bottom, len(bench.bottom)
    refusal = ""
    # twice the batch, for all bottoms or all but the last (a matrix, say); where axis 0 is time
    # or has to be 1, twice axis 1
    for axis, which in [(0, count), (0, count - 1), (1, count)]:
        other = subject.bench().run()
        grown = [_doubled(b, axis) if i < which else b for i, b in enumerate(small)]
        try:
            other.reshape(grown)
        except NetError as error:
            refusal = refusal or f"refuses another batch size: {error.problems[0].message}"
            continue
        other.run()
        other.reshape(small)
        same(other.run().results(), first, subject.loose, "after another batch size")
        return
    needs(False, refusal)


def _doubled(array: Array, axis: int) -> Array:
    return np.concatenate([array, array], axis) if array.ndim > axis else array


@promise(FLOAT64)
def one_plan_serves_two_runs(subject: Subject) -> None:
    """Two running copies of one planned layer have nothing in common: one may run forward and
    backward between the other's two passes."""
    expected = subject.bench().run().results()
    one = subject.bench()
    two = subject.bench(one.planned)
    needs(one.bottom or one.has_backward, "has no bottoms")
    two.bottom = [np.roll(b, 1, 0) if b.ndim else b for b in two.bottom]
    one.forward()
    two.run()
    if one.has_backward:
        one.backward()
    same(one.results(), expected, 0, "with another run of the same plan between")


@promise(FLOAT64)
def a_net_runs_it_alike(subject: Subject) -> None:
    """What the layer gives by itself, it gives in a net: tops and gradients, from the same seed."""
    cls = subject.cls
    needs(registry.get(cls.type) is cls, "is not registered: no net can name it")
    bench = subject.bench()
    if bench.layer.source:
        bench.make_tops(fill=0)
    bench.run()
    param = bind(parse(Source("<case>", subject.case.net_text())), NetParameter)
    param.layer[-1].top = list(bench.layer.spec.top)
    seed, phase = bench.streams.seed, subject.case.phase
    net = Net(param, phase, dtype=np.float64, seed=seed, folder=subject.folder)
    for name, value in zip(subject.case.inputs, bench.bottom):
        net.blobs[name].data[...] = value
    layer = net.layers[-1]
    for blob, start in zip(layer.params, bench.start_params):
        blob.data[...] = start
    net.forward()
    expected = bench.results()
    found = {f"top {i}": net.blobs[n].data for i, n in enumerate(layer.spec.top)}
    found |= {f"parameter {i}": p.data for i, p in enumerate(layer.params)}
    if bench.has_backward:
        diffs: dict[str, Any] = dict(zip(layer.spec.top, bench.top_diff))
        net.backward(**diffs)
        bottoms = list(enumerate(subject.case.inputs))
        found |= {f"gradient of bottom {i}": net.blobs[n].diff for i, n in bottoms}
        found |= {f"gradient of parameter {i}": p.diff for i, p in enumerate(layer.params)}
    same(found, expected, subject.loose, "in a net")


@promise(FLOAT64)
def text_comes_back(subject: Subject) -> None:
    """The layer's message, printed and read again, is the same message."""
    message = message_of(subject.case)
    text = str(NetParameter(layer=[message]))
    if bind(parse(Source("<printed>", text)), NetParameter).layer[0] != message:
        fail(f"reads back as something else:\n{text}")


@promise(together=True)
def it_is_documented(subjects: Sequence[Subject]) -> None:
    """The class, its messages and all their fields say what they are."""
    cls = subjects[0].cls
    missing = [] if (cls.__dict__.get("__doc__") or "").strip() else [cls.__name__]
    for message in cls.messages().values():
        missing += undocumented(message, set())
    if missing:
        fail(f"no documentation: {', '.join(dict.fromkeys(missing))}")


def undocumented(message: type[Message], seen: set[type[Message]]) -> Iterator[str]:
    """What has no doc text: the message, its fields, and those of the messages it holds."""
    if message in seen:
        return
    seen.add(message)
    if not (message.__dict__.get("__doc__") or "").strip():
        yield message.__name__
    for spec in message.specs.values():
        if not spec.doc.strip():
            yield f"{message.__name__}.{spec.name}"
        if spec.message_type is not None:
            yield from undocumented(spec.message_type, seen)
