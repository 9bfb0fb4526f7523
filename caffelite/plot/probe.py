"""The part of a net that decides: from the two numbers of a sample to its class.

A trained net is cut down to what its scores depend on. The data layer is exchanged for an Input,
losses and accuracies fall away, and so any points can be sent through.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from caffelite.blob import Array
from caffelite.errors import NetError, Problem
from caffelite.layers.base import TakesArrays, show
from caffelite.layers.input import Input
from caffelite.net import Net
from caffelite.plan.graph import Node, Version, build_graph
from caffelite.schema.common import BlobShape, Phase
from caffelite.schema.net import LayerParameter, NetParameter, NetState
from caffelite.use.scores import find_score

ROWS = 8192
"""Points a forward pass: enough to be fast, few enough for hidden layers to stay small."""
SAMPLES = 1000
"""Samples that are taken from a data layer which does not know how many it has."""


class Points(NamedTuple):
    """Samples (n, 2) and their classes (n,); a class is None where no layer gives a label."""

    at: Array
    labels: Array | None


class Probe:
    """The scores of a net with two inputs, at any points.

    `net` is a Net with its weights; `blob` names the blob with the scores. Left out, it is what
    the accuracy or else the last loss compares with the label, or else the last output.
    `threshold` is set for a net with a single score: class 1 is above it, class 0 below. It is
    1/2 for a probability, and for a loss like EuclideanLoss that learns the labels 0 and 1;
    otherwise, and if one label is negative, 0.
    Raises NetError if the net has no such blob, or if a sample has more or less than two numbers.
    """

    def __init__(self, net: Net, blob: str | None = None) -> None:
        self._net = net
        graph = build_graph(_always(net.present()), NetState())
        self._judge, self._score = find_score(graph, blob)
        path = _ancestors(self._score)
        self._data = self._find_data(path)
        self.blob = self._score.name
        specs = [
            _input(self._data, ROWS, net) if node is self._data.maker else node.spec
            for node in path
        ]
        param = NetParameter(name=net.name, layer=specs)
        self._cut = Net(param, phase=Phase.TEST, dtype=net.dtype, folder=net.folder, seed=0)
        self._cut.share_with(net)
        shape = self._cut.blobs[self.blob].shape
        self.outputs = math.prod(shape[1:])
        if not shape or shape[0] != ROWS or not self.outputs:
            raise NetError(
                Problem(
                    f'blob "{self.blob}" is no score for each sample: for {ROWS} samples it is '
                    f"{show(shape)}",
                    self._score.maker.spec.span(),
                    "a blob of samples x classes",
                    "name it with --blob: there are " + ", ".join(graph.blobs),
                )
            )
        self.threshold: float | None = None
        if self.outputs == 1:
            self.threshold = 0.5 if self._gives_probability() or self._learns_labels() else 0.0

    def _find_data(self, path: list[Node]) -> Version:
        """The one blob from which the scores are made."""
        within = set(path)
        sources = [
            version
            for node in path
            if node.cls.source
            for version in node.tops
            if version is self._score or any(reader in within for reader, _ in version.readers)
        ]
        if len(sources) != 1:
            raise NetError(
                Problem(
                    f'the scores "{self._score.name}" are made from '
                    + (", ".join(f'"{v.name}"' for v in sources) or "no data"),
                    expected="one blob with two numbers for each sample",
                )
            )
        data = sources[0]
        shape = self._top_shape(data)
        if len(shape) < 2 or math.prod(shape[1:]) != 2:
            raise NetError(
                Problem(
                    f'blob "{data.name}" has {math.prod(shape[1:])} numbers for each sample: it '
                    f"is {show(shape)}",
                    data.maker.spec.span(),
                    "two numbers, N x 2: only a net of two inputs divides a plane",
                )
            )
        return data

    def _top_shape(self, version: Version) -> tuple[int, ...]:
        layer = self._net.layer_dict[version.maker.spec.name]
        return layer.top_shapes[version.top_index]

    def _gives_probability(self) -> bool:
        return self._score.maker.cls.gives_probability

    def _learns_labels(self) -> bool:
        return self._judge is not None and self._judge.cls.learns_labels

    # What is asked of it.

    def scores(self, points: Array) -> Array:
        """The scores at points (n, 2): (n, outputs)."""
        points = np.asarray(points, self._cut.dtype)
        found = np.empty((len(points), self.outputs), np.float64)
        data, score = self._cut.blobs[self._data.name], self._cut.blobs[self.blob]
        # The blob shown is the last version; an input that is rewritten in place is shared by it.
        for start in range(0, len(points), ROWS):
            part = points[start : start + ROWS]
            data.data.reshape(ROWS, 2)[: len(part)] = part
            self._cut.forward()
            found[start : start + len(part)] = score.data.reshape(ROWS, -1)[: len(part)]
        if not np.isfinite(found).all():
            raise NetError(
                Problem(
                    f'scores in "{self.blob}" are not finite numbers',
                    hint="the training has diverged: try a smaller base_lr",
                )
            )
        return found

    def probabilities(self, scores: Array) -> Array:
        """Shares of the classes, (n, classes), which add up to 1: what the net says itself if its
        scores are probabilities, else their softmax (for a single score the logistic function)."""
        if self.threshold is not None:
            above = scores[:, 0] - self.threshold
            # a step of 1/2 to either side of the threshold is sure
            p = np.clip(above + 0.5, 0, 1) if self.threshold else 0.5 + 0.5 * np.tanh(above / 2)
            return np.stack([1 - p, p], axis=1)
        if self._gives_probability() or self._learns_labels():
            share = np.clip(scores, 0, None) + 1e-12
        else:
            share = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(share / share.sum(axis=1, keepdims=True))

    def points(self) -> Points | None:
        """All samples of the data layer, with their classes; None if it has none of its own
        (Input, or MemoryData that nobody filled)."""
        maker = self._data.maker
        layer = self._net.layer_dict[maker.spec.name]
        if maker.cls.fed:
            return None
        size = getattr(layer, "epoch_size", None)
        if isinstance(layer, TakesArrays) and not size:
            return None
        label = self._find_label()
        if hasattr(layer, "points") and hasattr(layer, "labels"):
            at, labels = layer.points, layer.labels if label else None
        else:
            at, labels = self._run_data(label, size)
        at = np.asarray(at, np.float64).reshape(len(at), 2)
        return Points(at, None if labels is None else self.classes(labels, len(at)))

    def _find_label(self) -> Version | None:
        """The labels: what the judge compares with, or the data layer's second top."""
        if self._judge is not None and len(self._judge.bottoms) > 1:
            label = self._judge.bottoms[1]
            return label if label.maker.cls.source else None
        others = [v for v in self._data.maker.tops if v is not self._data]
        return others[0] if others else None

    def _run_data(self, label: Version | None, size: int | None) -> tuple[Array, Array | None]:
        """Samples by running the data layers, which then go back to where they were."""
        batch = self._top_shape(self._data)[0]
        batches = -(-(size or SAMPLES) // batch)
        makers = list(dict.fromkeys(v.maker for v in (self._data, label) if v))
        layers = [self._net.layer_dict[m.spec.name] for m in makers]
        before = [layer.state() for layer in layers]
        rows: dict[Version, list[Array]] = {v: [] for v in (self._data, label) if v}
        for _ in range(batches):
            for maker, layer in zip(makers, layers):
                tops = [np.zeros(shape, self._net.dtype) for shape in layer.top_shapes]
                layer.forward([], tops)
                for version, values in zip(maker.tops, tops):
                    if version in rows:
                        rows[version].append(values)
        for layer, state in zip(layers, before):
            layer.restore(state)
        found = {v: np.concatenate(parts)[: size or None] for v, parts in rows.items()}
        return found[self._data], found[label] if label else None

    def classes(self, labels: Array, count: int) -> Array:
        """Labels as numbers of classes: as they are, from one-hot rows, or for a single score
        from the two sides of the middle (1/2, or 0 if a label is negative)."""
        labels = np.asarray(labels, np.float64)
        if self.threshold is not None:
            labels = labels.reshape(count, -1)[:, 0] if count else labels.ravel()
            if labels.size and labels.min() < 0:
                self.threshold = 0.0
                return np.asarray(labels > 0, np.int64)
            return np.asarray(labels > 0.5, np.int64)
        if labels.size == count:
            return labels.reshape(count).astype(np.int64)
        if labels.size == count * self.outputs:
            return np.asarray(labels.reshape(count, -1).argmax(axis=1), np.int64)
        raise NetError(
            Problem(
                f"there are {labels.size} labels for {count} points",
                expected=f"one for each, or {self.outputs} (1 for its class, 0 for the others)",
            )
        )


def _always(net: NetParameter) -> NetParameter:
    """The same layers, without the rules by which they have been chosen."""
    net = net.copy()
    for spec in net.layer:
        spec.include, spec.exclude = [], []
    return net


def _ancestors(score: Version) -> list[Node]:
    """The layers that the score depends on, in running order."""
    found = {score.maker}
    todo = [score.maker]
    while todo:
        for version in todo.pop().bottoms:
            if version.maker not in found:
                found.add(version.maker)
                todo.append(version.maker)
    return sorted(found, key=lambda node: node.index)


def _input(data: Version, rows: int, net: Net) -> LayerParameter:
    """An Input layer in the place of a data layer."""
    layer = net.layer_dict[data.maker.spec.name]
    shape = BlobShape(dim=[rows, *layer.top_shapes[data.top_index][1:]])
    spec = LayerParameter(name=data.maker.spec.name, type=Input.type, top=[data.name])
    spec.get("input_param").shape = [shape]
    return spec
