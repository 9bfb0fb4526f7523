"""From a net that trains to one that is used: sources become inputs, losses their predictions.

`deploy_net` takes a NetParameter and gives another one, of the layers of one state, that holds
Input layers where there were data layers, Softmax where there was SoftmaxWithLoss, and nothing of
what only training needs. Layers keep their names, so that weights are found.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from caffelite.blob import Shape
from caffelite.errors import CaffeliteError, NetError, Problem, did_you_mean
from caffelite.files import load_net
from caffelite.layers.base import Context, Layer, find
from caffelite.layers.input import Input, InputParameter
from caffelite.plan.build import Plan, plan_net
from caffelite.plan.graph import included, state_for
from caffelite.schema.common import BlobShape, Phase, TransformationParameter
from caffelite.schema.net import LayerParameter, NetParameter, NetState


@dataclass
class Deployed:
    """A deploy net, what was done, and how its inputs were prepared in training."""

    net: NetParameter
    notes: list[str] = field(default_factory=list)
    transforms: dict[str, TransformationParameter] = field(default_factory=dict)

    def text(self, source: str) -> str:
        """The net as text, with comments that say which net it was made of, and how samples were
        prepared there."""
        lines = [f"The deploy form of {source}."]
        for name, param in self.transforms.items():
            lines += [f'In training the samples of "{name}" were prepared like this:']
            lines += [f"  {line}" for line in str(param).splitlines()]
        return "".join(f"# {line}\n" for line in lines) + str(self.net)


def deploy_net(
    net: NetParameter,
    state: NetState,
    shapes: Mapping[str, Shape] | None = None,
    context: Context | None = None,
) -> Deployed:
    """The deploy form of a net's layers in `state`.

    `shapes` gives the shapes of inputs by blob; they are needed for data layers whose files are not
    there, and replace those of Input layers. Raises NetError with every input whose shape is not
    known, and for a net that predicts nothing."""
    return _Deploy(net, state, dict(shapes or {}), context or Context()).run()


def deploy_file(
    path: str,
    stages: Sequence[str] = (),
    level: int = 0,
    shapes: Mapping[str, Shape] | None = None,
    batch: int | None = None,
) -> tuple[Deployed, Plan]:
    """The deploy form of a net file in phase TEST, and its plan: it can be built. `batch` replaces
    the first extent of all inputs."""
    net, folder = load_net(path), os.path.dirname(path)
    state = state_for(net, Phase.TEST, level, list(stages))
    done = deploy_net(net, state, shapes, Context(folder=folder))
    if batch is not None and batch < 1:
        raise NetError(Problem(f"a batch of {batch}", expected="1 or more"))
    for layer in done.net.layer if batch else []:
        for shape in layer.get("input_param").shape if layer.type == Input.type else []:
            shape.dim = [batch, *shape.dim[1:]]
    plan = plan_net(done.net, state_for(done.net, Phase.TEST), Context(folder=folder))
    return done, plan


class _Deploy:
    def __init__(
        self, net: NetParameter, state: NetState, shapes: dict[str, Shape], context: Context
    ) -> None:
        self.layers = [layer for layer in net.layer if included(layer, state)]
        self.classes: list[type[Layer]] = [find(layer) for layer in self.layers]
        self.shapes, self.context = shapes, context
        self.done = Deployed(NetParameter(name=net.name))
        self.bottoms = [list(layer.bottom) for layer in self.layers]

    def run(self) -> Deployed:
        needed = self._needed()
        problems: list[Problem] = []
        asked = set(self.shapes)
        for index, (spec, cls) in enumerate(zip(self.layers, self.classes)):
            if index not in needed:
                self._note_left_out(spec, cls)
                continue
            layer = self._bare(spec)
            if cls.source and not _constant(spec):
                tops = [top for i, top in enumerate(spec.top) if (index, i) in self._read]
                try:
                    layer = self._input(spec, cls, tops)
                except CaffeliteError as error:
                    problems.extend(error.problems)
                    continue
                asked -= set(tops)
            elif cls.loss:
                layer = self._prediction(spec)
            self.done.net.layer.append(layer)
        inputs = [t for x in self.done.net.layer if x.type == "Input" for t in x.top]
        for name in sorted(asked - set(inputs)):
            problems.append(
                Problem(f'"{name}" is no input of the net', hint=did_you_mean(name, inputs))
            )
        if problems:
            raise NetError(*problems)
        return self.done

    def _needed(self) -> set[int]:
        """The layers that lead to a prediction or to another output, by index; notes which tops
        are read on the way."""
        makers: dict[str, tuple[int, int]] = {}
        reads: list[list[tuple[int, int]]] = []
        unread: dict[tuple[int, int], bool] = {}
        for index, spec in enumerate(self.layers):
            reads.append([makers[b] for b in spec.bottom if b in makers])
            measures = self.classes[index].higher_is_better is not None
            # what is measured alone, bottom 0, is an output; the labels it is held against are not
            outputs = {makers[b] for b in spec.bottom[:1] if measures and b in makers}
            for made in reads[-1]:
                if made not in outputs or self.classes[made[0]].source:
                    unread[made] = False
            for i, top in enumerate(spec.top):
                makers[top] = (index, i)
                unread[index, i] = True
        roots: list[int] = []
        for index, (spec, cls) in enumerate(zip(self.layers, self.classes)):
            if cls.prediction:
                roots.append(index)
            elif cls.loss:
                # a loss that makes nothing of its bottoms: what is compared is what is used
                layer = cls(spec, self.context)
                for k, made in enumerate(reads[index]):
                    if layer.propagates(k) and not self.classes[made[0]].source:
                        roots.append(made[0])
            elif (
                cls.deployed
                and any(unread[index, i] for i in range(len(spec.top)))
                and (not cls.source or spec.type == "Input")
            ):
                roots.append(index)
        if not roots:
            raise NetError(Problem("the net predicts nothing: it has no output but losses"))
        needed: set[int] = set()
        self._read: set[tuple[int, int]] = set()
        while roots:
            index = roots.pop()
            if index in needed:
                continue
            needed.add(index)
            predicts = self.classes[index].loss
            for made in reads[index][:1] if predicts else reads[index]:
                self._read.add(made)
                roots.append(made[0])
            if self.layers[index].type == "Input":
                self._read.update((index, i) for i in range(len(self.layers[index].top)))
        return needed

    @staticmethod
    def _bare(spec: LayerParameter) -> LayerParameter:
        """The layer without what is for training alone."""
        layer = spec.copy()
        for name in ("include", "exclude", "loss_weight", "propagate_down", "param"):
            if name != "param" or not any(p.name for p in spec.param):
                setattr(layer, name, None)
        return layer

    def _input(self, spec: LayerParameter, cls: type[Layer], tops: list[str]) -> LayerParameter:
        """An Input layer for the tops of a source that are read."""
        known = {top: self.shapes[top] for top in tops if top in self.shapes}
        if len(known) < len(tops):
            try:
                layer = cls(spec, self.context)
                layer.setup([])
                found = dict(zip(spec.top, layer.reshape([])))
            except CaffeliteError as error:
                missing = [top for top in tops if top not in known]
                raise NetError(
                    *error.problems,
                    Problem(
                        f"the shape of {' and '.join(missing)} is not known without the data of "
                        f'layer "{spec.name}"',
                        spec.span(),
                        hint=f"--shape {missing[0]}=NxCxHxW gives it",
                    ),
                ) from None
            known = {top: tuple(known.get(top, found[top])) for top in tops}
        if spec.type != "Input":
            self._note(f'layer "{spec.name}" ({spec.type}) has become the input {_and(tops)}')
            if spec.has("transform_param"):
                self.done.transforms[tops[0]] = spec.transform_param
        shapes = [BlobShape(dim=list(known[top])) for top in tops]
        return LayerParameter(
            name=spec.name, type="Input", top=tops, input_param=InputParameter(shape=shapes)
        )

    def _prediction(self, spec: LayerParameter) -> LayerParameter:
        """What a loss makes of its first bottom, as a layer."""
        kind = find(spec).prediction
        taken = {t for x in [*self.layers, *self.done.net.layer] for t in x.top}
        second = spec.top[1] if len(spec.top) > 1 else ""  # SoftmaxWithLoss: the probabilities
        name = second or ("prob" if "prob" not in taken else f"{spec.name}_prob")
        layer = LayerParameter(name=spec.name, type=kind, bottom=spec.bottom[:1], top=[name])
        if kind == "Softmax" and spec.has("softmax_param"):
            layer.softmax_param = spec.softmax_param  # type: ignore[attr-defined]
        self._note(f'layer "{spec.name}" ({spec.type}) has become {kind}, top "{name}"')
        return layer

    def _note_left_out(self, spec: LayerParameter, cls: type[Layer]) -> None:
        self._note(f'layer "{spec.name}" ({spec.type}) is left out')

    def _note(self, text: str) -> None:
        self.done.notes.append(text)


def _constant(spec: LayerParameter) -> bool:
    """A DummyData layer whose values the text gives: it stays. Without, it stands for data."""
    if spec.type != "DummyData":
        return False
    fillers = spec.get("dummy_data_param").data_filler
    return bool(fillers) and all(f.type == "constant" for f in fillers)


def _and(names: list[str]) -> str:
    return " and ".join(f'"{name}"' for name in names)
