"""Where the phases of a net should agree, and do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from caffelite.judge.doubt import Doubt
from caffelite.judge.reading import called
from caffelite.judge.rules import Found, of_phases
from caffelite.layers.base import Layer
from caffelite.layers.source import FeedLayer
from caffelite.plan.build import Plan
from caffelite.plan.graph import Node
from caffelite.schema.bind import span_of
from caffelite.schema.common import Phase

SAME = ("scale", "mean_file", "mean_value", "force_color", "force_gray")
"""Of transform_param: what a net that was trained with it needs when it is used."""


@of_phases("transforms-differ", "data prepared in one way for training, in another for testing")
def transforms_differ(plans: Sequence[Plan]) -> Found:
    """Crops and mirrors may differ; scale, mean and colours may not."""
    for train, test in _pairs(plans):
        ours, theirs = train.spec.transform_param, test.spec.transform_param
        for name in SAME:
            if ours.get(name) != theirs.get(name):
                holder = test if theirs.has(name) else train
                yield Doubt(
                    f"{name} is {_shown(ours.get(name))} in {called(train)}, and "
                    f"{_shown(theirs.get(name))} in {called(test)}, for testing",
                    span_of(holder.spec, "transform_param", name),
                    "the net is tested on data that is not like the data it has learned from",
                    "the same for both; crop_size and mirror may differ",
                )


@of_phases("classes-differ", "folders of classes that differ between training and testing")
def classes_differ(plans: Sequence[Plan]) -> Found:
    """A class's number is its place among the folders."""
    layers = {node: plan.layers[node.index] for plan in plans for node in plan.graph.nodes}
    for train, test in _pairs(plans):
        ours, theirs = (_classes(layers[node]) for node in (train, test))
        if not ours or not theirs or ours == theirs:
            continue
        odd = sorted(set(ours) ^ set(theirs))
        yield Doubt(
            f"{called(train)} has {len(ours)} classes and {called(test)} {len(theirs)}: "
            f"{', '.join(odd[:5])}{', ...' if len(odd) > 5 else ''} in one of them alone",
            span_of(test.spec, *getattr(layers[test], "place", ("type",))),
            "a class is known by its place among the folders: those behind it have other numbers",
            "the same folders in both",
        )


def _classes(layer: Layer) -> list[str]:
    known = isinstance(layer, FeedLayer) and layer.epoch_size  # None: its data is not here
    return layer.class_names if known and isinstance(layer, FeedLayer) else []


def _pairs(plans: Sequence[Plan]) -> Iterator[tuple[Node, Node]]:
    """The sources of the training net, each with that of a test net that fills the same blob."""
    seen = set()
    for train in (p for p in plans if p.context.phase == Phase.TRAIN):
        ours = {n.tops[0].name: n for n in train.graph.nodes if _is_data(n)}
        for test in (p for p in plans if p.context.phase == Phase.TEST):
            for node in test.graph.nodes:
                mate = ours.get(node.tops[0].name) if _is_data(node) else None
                key = mate and (id(mate.spec), id(node.spec))
                if mate is not None and mate.spec is not node.spec and key not in seen:
                    seen.add(key)
                    yield mate, node


def _is_data(node: Node) -> bool:
    """Does the layer read data? (An Input is filled by its user, who prepares it.)"""
    return node.cls.source and not node.cls.fed and bool(node.tops)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(f"{v:g}" for v in value) or "not given"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else f'"{value}"' if value else "not given"
