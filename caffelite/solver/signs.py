"""What a displayed loss tells of a run that goes wrong while its numbers are finite: losses at the
floor under a probability, and a loss that stays at the logarithm of the number of classes.

Looked at when a loss is displayed, and said once: an iteration that displays nothing costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from caffelite.blob import Array
from caffelite.layers.base import Layer, LossLayer
from caffelite.net import Net
from caffelite.plan.graph import Node
from caffelite.schema.solver import SolverParameter

NEAR = 0.01
"""As near to ln(classes), relative to it, as counts as the same."""
DISPLAYS = 5
"""At least so many losses in a row."""


class Signs:
    """What has been seen of a net's losses."""

    def __init__(self, net: Net, param: SolverParameter) -> None:
        self._net = net
        self._losses = [
            node
            for node in net.plan.graph.nodes
            if issubclass(node.cls, LossLayer) and node.cls.floor
        ]
        self._patience = max(50, min(500, param.max_iter // 10))
        self._stays: dict[str, list[int]] = {}
        """The iterations at which a layer's displayed loss was ln(classes), without a break."""
        self._said: set[tuple[str, str]] = set()

    def look(self, iteration: int, rate: float) -> Iterator[str]:
        """What is to be said of the losses of this iteration."""
        for node in self._losses:
            layer = self._net.layers[node.index]
            value = float(self._net.executor.look_at(node.tops[0]).item())
            for kind, text in (
                ("floor", self._floor(node, layer, value, rate)),
                ("guess", self._guess(node, layer, value, iteration, rate)),
            ):
                if text and (kind, layer.name) not in self._said:
                    self._said.add((kind, layer.name))
                    yield f"iteration {iteration}: {text}"

    def _floor(self, node: Node, layer: Layer, value: float, rate: float) -> str:
        """The clamp: k of n samples whose label has no probability left."""
        if ("floor", layer.name) in self._said:
            return ""
        assert issubclass(node.cls, LossLayer)
        most, classes = -math.log(node.cls.floor), _scores(self._net, node, layer).shape[1]
        if not math.log(classes or 1) < value < math.inf:
            return ""  # a few samples at the floor hide in a loss that is not high
        scores, labels = self._samples(node, layer)
        logs = _log_probability(scores, labels, node.cls.reads_probability)
        count, of = int((logs <= -most * (1 - 1e-6)).sum()), len(logs)
        if not count or 2 * count * most < value * of:
            return ""
        return (
            f'"{node.tops[0].name}" is {value:g}: {count} of {of} samples have the largest loss '
            f"there is, {most:.6g} (the label's probability counts as {node.cls.floor:.3g} at "
            f"least), and {count}/{of} of it is {count / of * most:.6g}. Scores are as large as "
            f"{np.abs(scores).max():.3g}: the learning rate ({rate:g}) is too high, or the input "
            "is not scaled"
        )

    def _guess(self, node: Node, layer: Layer, value: float, iteration: int, rate: float) -> str:
        """A loss that stays where it is when all classes are as likely."""
        classes = _scores(self._net, node, layer).shape[1]
        if classes < 2 or abs(value / math.log(classes) - 1) > NEAR:
            self._stays.pop(layer.name, None)
            return ""
        seen = self._stays.setdefault(layer.name, [])
        seen[DISPLAYS:] = [iteration]
        if len(seen) < DISPLAYS or iteration - seen[0] < self._patience:
            return ""
        return (
            f'"{node.tops[0].name}" has stayed at {math.log(classes):.4g} = ln {classes} for '
            f"{iteration - seen[0]} iterations: to the net all {classes} classes are as likely, it "
            f"learns nothing. {self._why(rate)}"
        )

    def _why(self, rate: float) -> str:
        for node in self._net.plan.graph.nodes:
            layer = self._net.layers[node.index]
            if not node.cls.source and not node.cls.loss:
                for top in node.tops:
                    if not self._net.executor.look_at(top).any():
                        return (
                            f'"{top.name}" of layer "{layer.name}" ({layer.type}) is 0 for every '
                            "sample: its units are dead, or weights before it started at 0"
                        )
        return (
            f"The learning rate ({rate:g}) may be too low or too high, the input not scaled, or "
            "the labels not those of the samples"
        )

    def _samples(self, node: Node, layer: Layer) -> tuple[Array, Array]:
        """Scores (samples, classes) and labels of those samples that count."""
        scores = _scores(self._net, node, layer)
        labels = self._net.executor.look_at(node.bottoms[1]).reshape(-1).astype(np.int64)
        counts = (labels >= 0) & (labels < scores.shape[1])
        loss_param = getattr(layer, "loss_param", None)
        if loss_param is not None and loss_param.has("ignore_label"):
            counts &= labels != loss_param.ignore_label
        return scores[counts], labels[counts]


def _scores(net: Net, node: Node, layer: Layer) -> Array:
    """Bottom 0 as (samples, classes)."""
    values = net.executor.look_at(node.bottoms[0])
    samples: Array
    if node.cls.reads_probability:
        samples = values.reshape(len(values), -1)
        return samples
    axis: int = getattr(getattr(layer, "param", None), "axis", 1)
    samples = np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis])
    return samples


def _log_probability(scores: Array, labels: Array, probability: bool) -> Array:
    """ln p of each sample's label."""
    picked: Array = scores[np.arange(len(labels)), labels].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        if probability:
            logs: Array = np.log(picked)
            return logs
        high = scores.max(axis=1, initial=-np.inf).astype(np.float64)
        total = np.exp(scores - high[:, None]).sum(axis=1)
        logs = picked - high - np.log(total)
    return logs
