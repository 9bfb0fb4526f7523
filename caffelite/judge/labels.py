"""Labels, looked at before a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from caffelite.blob import Array
from caffelite.errors import CaffeliteError, Span
from caffelite.judge.doubt import Doubt
from caffelite.judge.reading import called
from caffelite.judge.rules import Found, of_phases
from caffelite.layers.source import Labels, SourceLayer
from caffelite.plan.build import Plan
from caffelite.plan.graph import Node, Version
from caffelite.schema.bind import span_of
from caffelite.schema.common import Phase
from caffelite.schema.message import Message

DEFAULT = "labels are the numbers of classes, counted from 0"


@of_phases("fractional-labels", "labels that are no whole numbers, where classes are compared")
def fractional_labels(plans: Sequence[Plan]) -> Found:
    """Caffe cuts off the fraction in silence, and so does this."""
    for labelled in _labelled(plans):
        values = labelled.labels.values
        whole = values == np.floor(values)
        if not whole.all():
            odd = values[~whole][0]
            yield labelled.doubt(
                f"labels are not whole numbers, {odd:g} is one of them",
                f"{called(labelled.reader)} takes the number of a class, and cuts off the fraction",
                labelled.layer.other_label() or f"{DEFAULT}; for values a EuclideanLoss is right",
            )


@of_phases("label-range", "labels beyond the classes that the net tells apart")
def label_range(plans: Sequence[Plan]) -> Found:
    """The run would end at the first of them."""
    for labelled in _labelled(plans):
        low, high = labelled.labels.values.min(), labelled.labels.values.max()
        fractions = (labelled.labels.values % 1).any()  # said by the rule above
        if labelled.classes and not fractions and (low < 0 or high >= labelled.classes):
            one_based = low == 1 and high == labelled.classes
            yield labelled.doubt(
                f"labels go from {low:g} to {high:g}, and there are {labelled.classes} scores",
                f"{called(labelled.reader)} ends the run at a label that is no class",
                "subtract 1 from each: labels count from 0"
                if one_based
                else labelled.layer.other_label() or f"{DEFAULT}: is num_output {int(high) + 1}?",
            )


@of_phases("one-class", "labels that are all the same")
def one_class(plans: Sequence[Plan]) -> Found:
    """Nothing to tell apart."""
    for labelled in _labelled(plans):
        values = labelled.labels.values
        if labelled.labels.whole and values.size > 1 and (values == values.flat[0]).all():
            yield labelled.doubt(
                f"all {values.size:,} labels are {values.flat[0]:g}",
                "the net learns to say that, whatever it is shown",
                labelled.layer.other_label() or "is another column or array the label?",
            )


@of_phases("labels-differ", "classes for testing that training does not have")
def labels_differ(plans: Sequence[Plan]) -> Found:
    """What was never shown cannot be learned."""
    found = list(_labelled(plans))
    shown = [x for x in found if x.plan.context.phase == Phase.TRAIN and x.labels.whole]
    known = set().union(*(np.unique(x.labels.values).tolist() for x in shown))
    for labelled in found if shown else ():
        if labelled.plan.context.phase == Phase.TRAIN:
            continue
        new = sorted(set(np.unique(labelled.labels.values).tolist()) - known)
        if new:
            names = ", ".join(f"{label:g}" for label in new[:5]) + (", ..." if new[5:] else "")
            yield labelled.doubt(
                f"{len(new)} of the labels for testing are in no training data: {names}",
                "a class that was never shown is never recognised",
                "the same classes, with the same numbers, in both",
            )


class _Labelled:
    """A source whose labels are compared as classes."""

    def __init__(self, plan: Plan, node: Node, reader: Node, labels: Labels) -> None:
        self.plan, self.node, self.reader, self.labels = plan, node, reader, labels
        layer = plan.layers[node.index]
        assert isinstance(layer, SourceLayer)
        self.layer = layer

    def doubt(self, message: str, reason: str, remedy: str) -> Doubt:
        return Doubt(f"{called(self.node)}: {message}", self._span(), reason, remedy)

    def _span(self) -> Span | None:
        place = getattr(self.layer, "place", ())
        return span_of(self.node.spec, *place) if place else self.node.spec.span("type")

    @property
    def classes(self) -> int:
        """How many classes the reader tells apart; 0: not known."""
        shape = self.plan.shapes[self.reader.bottoms[0]]
        for _, message in self.reader.spec.set_fields():
            if getattr(message, "axis", 1) != 1:
                return 0
        return shape[1] if len(shape) > 1 else 0


def _labelled(plans: Sequence[Plan]) -> Iterator[_Labelled]:
    seen = set()
    for plan in plans:
        for node in plan.graph.nodes:
            reader = _reader(node)
            layer = plan.layers[node.index]
            if reader is None or not isinstance(layer, SourceLayer):
                continue
            if node.index in plan.absent or id(node.spec) in seen:
                continue
            seen.add(id(node.spec))
            labels = _read(layer)
            if labels is not None:
                values = _counting(labels.values, reader)
                if values.size:
                    yield _Labelled(plan, node, reader, Labels(values, labels.whole))


def _reader(node: Node) -> Node | None:
    """The layer that compares with this source's second top as classes."""
    tops: Sequence[Version] = node.tops[1:2] if node.cls.source else ()
    readers = [r for top in tops for r, i in top.readers if i == 1 and r.cls.labels_are_classes]
    return readers[0] if readers else None


@lru_cache(maxsize=8)
def _read(layer: SourceLayer) -> Labels | None:
    """A planned layer's labels, read once for all rules."""
    try:
        return layer.label_values()
    except CaffeliteError:  # said where the data is opened to be used
        return None


def _counting(values: Array, reader: Node) -> Array:
    """Without the labels that are ignored."""
    flat = np.asarray(values, np.float64).ravel()
    for _, message in reader.spec.set_fields():
        if isinstance(message, Message) and "ignore_label" in message.specs:
            ignored = message.get("ignore_label") if message.has("ignore_label") else None
            flat = flat if ignored is None else flat[flat != ignored]
    return flat
