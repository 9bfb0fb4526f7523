"""Planning a net whose data is not here, as far as its text alone tells.

The shapes behind a data layer depend on the data. Where it is not here several shapes of a sample
are tried: one that fits is taken, and if none fits, a mistake is what is said of all of them that
come so far. What depends on the data's real shape is left open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from caffelite.blob import Shape
from caffelite.collecting import no_collection
from caffelite.errors import CaffeliteError, NetError, Problem
from caffelite.layers.base import ANY, Context, layer_class
from caffelite.layers.source import SourceLayer
from caffelite.plan.build import Plan, build_plan
from caffelite.plan.graph import Graph, Node, build_graph
from caffelite.schema.common import TransformationParameter
from caffelite.schema.message import Message
from caffelite.schema.net import LayerParameter, NetParameter, NetState

SAMPLES: tuple[Shape, ...] = (
    *((1, 28, 28), (3, 32, 32), (3, 227, 227), (2, 56, 56), (1, 64, 64)),
    *((10,), (2,)),
)
"""Shapes to try where the text says nothing of the data's."""
LARGE = 1000
"""Nets of more layers are tried with fewer shapes."""


@no_collection()
def outline_net(net: NetParameter, state: NetState, context: Context) -> Plan:
    """As `plan_net`; data that is not here is no mistake, and is listed in the plan's `absent`.
    Raises NetError with every mistake that is certain."""
    wiring: list[Problem] = []
    graph = build_graph(net, state, wiring)
    tried: list[list[Problem]] = []
    absent: set[int] = set()

    def stand_in(sample: Shape, node: Node) -> Sequence[Shape] | None:
        absent.add(node.index)
        return assumed(sample, node)

    samples = SAMPLES[: 2 if len(graph.nodes) > LARGE else None]
    for sample in samples:
        try:
            return build_plan(graph, context, net.force_backward, wiring, partial(stand_in, sample))
        except CaffeliteError as error:
            tried.append(error.problems)
            if not any(node.cls.source and _batch(node.spec) for node in graph.nodes):
                break  # no data of which another shape could be assumed
    said = {str(problem) for problem in wiring}
    certain = [
        p for p in _certain(tried, samples) if str(p) in said or not _is_open(p, graph, absent)
    ]
    if not certain:  # every shape fails in its own way: the data decides
        return build_plan(_sources_only(net, state), context, stand_in=partial(assumed, ()))
    raise NetError(*certain)


def assumed(sample: Shape, node: Node) -> Sequence[Shape] | None:
    """The tops of a source, for one shape of a sample where its text does not say another."""
    batch = _batch(node.spec)
    if not batch or not node.cls.source:
        return None
    steps = next((n for m in _messages(node.spec) if (n := _number(m, "seq_len"))), 0)
    if steps:
        return [(steps, batch)] * len(node.tops)
    shape = _said(node.spec, sample)
    label = (1, 1, 1, 8) if _objects(node) else (batch,)
    return [(batch, *shape), *[label] * (len(node.tops) - 1)]


def _objects(node: Node) -> bool:
    """Does a source give rows of objects, of which nothing but their length is known?"""
    return issubclass(node.cls, SourceLayer) and node.cls.gives_objects


def _said(spec: LayerParameter, sample: Shape) -> Shape:
    """What crop_size or crop_h and crop_w, new_height and new_width, and resize_param say of a
    sample."""
    channels = 3 if len(sample) < 3 else sample[0]
    for message in _messages(spec):
        if isinstance(message, TransformationParameter):
            resize = message.resize_param
            if resize.height and resize.width:
                sample = (channels, resize.height, resize.width)
            if message.crop_h and message.crop_w:
                sample = (channels, message.crop_h, message.crop_w)
        height, width = _number(message, "new_height"), _number(message, "new_width")
        if height and width:
            sample = (channels, height, width)
        side = _number(message, "crop_size")
        if side:
            return (channels, side, side)
    return sample


def _batch(spec: LayerParameter) -> int:
    """The batch_size of a source's message, its default too; 0: it has none."""
    found = (m.get("batch_size") for m in _messages(spec) if "batch_size" in m.specs)
    return next(filter(None, found), 0)


def _messages(spec: LayerParameter) -> Iterator[Message]:
    """What is said of a layer in groups; of the transform last, which comes after all else."""
    found = [value for _, value in spec.set_fields() if isinstance(value, Message)]
    return iter(sorted(found, key=lambda m: isinstance(m, TransformationParameter)))


def _number(message: Message, name: str) -> int:
    return int(message.get(name)) if name in message.specs and message.has(name) else 0


def _certain(tried: Sequence[Sequence[Problem]], samples: Sequence[Shape]) -> list[Problem]:
    """What is wrong whatever the data: said of all shapes, or of two that have other
    channels and of all that come so far."""
    sets = [set(problems) for problems in tried]
    firsts = [min((_line(problem) for problem in problems), default=0) for problems in tried]
    found: list[Problem] = []
    for problem in dict.fromkeys(problem for problems in tried for problem in problems):
        count = sum(problem in other for other in sets)
        channels = {sample[0] for sample, other in zip(samples, sets) if problem in other}
        # behind another mistake it may not have been looked for
        hidden = sum(
            problem not in other and first < _line(problem) for other, first in zip(sets, firsts)
        )
        if count + hidden == len(tried) and (len(channels) > 1 or len(tried) == 1):
            found.append(problem)
    return found


def _is_open(problem: Problem, graph: Graph, absent: Collection[int]) -> bool:
    """Is it about a layer that reads a top of which nothing is known: not the first one of a source
    whose data is `absent` and which makes any number of tops, such as HDF5Data, or objects? They
    may be labels, or targets of any shape."""
    return any(
        v.top_index
        and v.maker.index in absent
        and (v.maker.cls.tops[1] is ANY or _objects(v.maker))
        for node in graph.nodes
        if problem.message.startswith(f'layer "{node.spec.name}" ')
        for v in node.bottoms
    )


def _line(problem: Problem) -> int:
    return problem.span.line if problem.span else 0


def _sources_only(net: NetParameter, state: NetState) -> Graph:
    """The graph of the layers that make data."""
    sources = [spec for spec in net.layer if (cls := layer_class(spec)) and cls.source]
    return build_graph(NetParameter(name=net.name, layer=sources), state)
