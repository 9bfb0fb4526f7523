"""Nets made measurable: random input for their data, a loss where training needs one."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

import caffelite
from caffelite.engines import engines
from caffelite.files import load_net
from caffelite.layers.base import registry
from caffelite.run.gradients import let_gradients_go
from caffelite.schema.common import BlobShape, Phase
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.schema.solver import SolverParameter
from caffelite.solver import Monitor

from .child import skip

FILELESS = ("Input", "DummyData", "SpiralData", "Parameter")
"""Sources that need no files; every other one is replaced by an Input."""
SAMPLES = {"hdf5_logreg": [4]}
"""Shapes of a sample that only the comment of a net file tells."""
LR, MOMENTUM, DECAY = 0.001, 0.9, 0.0005


def measurable(job: dict[str, Any], which: str, own: bool = False) -> NetParameter:
    """The net of a pass: "train" has a loss, "forward" is the deployed form if the file has one.

    Sources become Inputs of the same tops, of the batch asked for; Accuracy layers, which have no
    part in training, go. With `own` it is the TEST net with the file's own batches."""
    net = load_net(job["net"])
    shapes = {
        top: list(shape.dim)[1:]
        for spec in net.layer
        if spec.type == "Input"
        for top, shape in zip(spec.top, spec.get("input_param").shape)
    }
    stem = os.path.splitext(os.path.basename(job["net"]))[0]
    layers = []
    for spec in net.layer:
        cls = registry.get(spec.type)
        if spec.type == "Accuracy":
            continue
        if spec.type == "Input" and job["batch"]:
            for shape in spec.get("input_param").shape:
                shape.dim = [job["batch"], *list(shape.dim)[1:]]
        elif spec.type == "SpiralData" and job["batch"]:
            spec.get("spiral_data_param").batch_size = job["batch"]
        elif cls is not None and cls.source and spec.type not in FILELESS:
            known = shapes.get(spec.top[0]) or SAMPLES.get(stem)
            spec = as_input(spec, job, known)
        layers.append(spec)
    net.layer = layers
    if which == "train" and not own:
        add_loss(net)
    return net


def as_input(spec: LayerParameter, job: dict[str, Any], known: list[int] | None) -> LayerParameter:
    """An Input for a data layer: the first top is N x one sample, the others are N."""
    given = [spec.get(name) for name in registry[spec.type].messages() if spec.has(name)]
    sizes = [m.batch_size for m in given if "batch_size" in m.specs]
    batch = job["batch"] or (sizes[0] if sizes else 1)
    new = LayerParameter(name=spec.name, type="Input", top=list(spec.top))
    new.include, new.exclude = spec.include, spec.exclude
    if spec.type == "TextData":
        steps = spec.get("text_data_param").seq_len
        new.get("input_param").shape = [BlobShape(dim=[steps, batch]) for _ in spec.top]
        return new
    sample = job["shape"] or sample_of(spec) or known
    if not sample:
        skip(
            f'layer "{spec.name}" ({spec.type}): the shape of a sample is not in the net file. '
            "Say it: --shape 3,227,227"
        )
    shapes = [BlobShape(dim=[batch, *sample]), *(BlobShape(dim=[batch]) for _ in spec.top[1:])]
    new.get("input_param").shape = shapes
    return new


def sample_of(spec: LayerParameter) -> list[int] | None:
    """The shape of one sample as far as the layer's text tells. IDX files are taken for MNIST's."""
    transform = spec.transform_param
    if spec.type == "MemoryData":
        memory = spec.get("memory_data_param")
        return [memory.channels, memory.height, memory.width]
    if spec.type == "IdxData":
        return [1, transform.crop_size or 28, transform.crop_size or 28]
    if transform.crop_size:
        return [1 if transform.force_gray else 3, transform.crop_size, transform.crop_size]
    return None


def add_loss(net: NetParameter) -> None:
    """Where no layer is a loss, a Softmax at the end becomes one, with an Input of labels."""
    if any(cls.loss for spec in net.layer if (cls := registry.get(spec.type))):
        return
    read = {name for spec in net.layer for name in spec.bottom}
    ends = [s for s in net.layer if s.type == "Softmax" and not set(s.top) & read]
    sizes = [s.get("input_param").shape for s in net.layer if s.type == "Input"]
    if len(ends) != 1 or not sizes or "label" in read:
        return
    (end,) = ends
    batch = int(next(iter(sizes[0][0].dim)))
    label = LayerParameter(name="label", type="Input", top=["label"])
    label.get("input_param").shape = [BlobShape(dim=[batch])]
    loss = LayerParameter(name=end.name, type="SoftmaxWithLoss", top=list(end.top))
    loss.bottom = [*end.bottom, "label"]
    net.layer = [label, *(loss if spec is end else spec for spec in net.layer)]


def without_chance(net: NetParameter) -> dict[str, float]:
    """Let no Dropout drop anything, so that results can be compared; the ratios that were there."""
    ratios = {}
    for spec in net.layer:
        if spec.type == "Dropout":
            dropout = spec.get("dropout_param")
            ratios[spec.name], dropout.dropout_ratio = dropout.dropout_ratio, 0.0
    return ratios


def use_engine(name: str) -> None:
    """Run on this engine from now on; skips, with the reason, where it cannot be."""
    known = engines()
    if name != "auto":
        if name not in known:
            skip(f"no such engine; there are {', '.join(known)}")
        if why := known[name].missing():
            skip(why)
        try:
            known[name].start("cpu")  # what it imports counts as imports
        except (RuntimeError, ImportError, OSError) as error:
            skip(str(error))
    caffelite.set_engine(name)


def check_engine(net: caffelite.Net, name: str) -> str:
    """The engine that the net runs on; skips where another one than asked for stepped in."""
    choice = net.engine
    if name != "auto" and choice.engine != name:
        skip(f"the net runs on the engine {choice.engine} instead; the reason is above")
    return choice.engine


def trainer(net: NetParameter, dtype: Any = np.float32) -> caffelite.SGDSolver:
    """Plain SGD with momentum and weight decay, silent."""
    param = SolverParameter(
        net_param=net,
        base_lr=LR,
        lr_policy="fixed",
        momentum=MOMENTUM,
        weight_decay=DECAY,
        random_seed=1,
        snapshot_after_train=False,
    )
    solver = caffelite.SGDSolver(param, Monitor(), dtype)
    settle(solver.net)
    let_gradients_go(solver.net.executor)  # as `caffelite train` does
    return solver


def tester(net: NetParameter, own: bool = False) -> caffelite.Net:
    """The TEST net; unless `own`, the deployed one if the file has such a stage."""
    tested = caffelite.Net(net, Phase.TEST, seed=1, stages=stages_of(net, own))
    settle(tested)
    return tested


def stages_of(net: NetParameter, own: bool) -> list[str]:
    """The stages of a TEST net: "deploy" if there is one and not `own`; none, or where data come
    only in stages, the first of those."""
    rules = [rule for spec in net.layer for rule in (*spec.include, *spec.exclude)]
    if not own:
        deploys = any("deploy" in (*rule.stage, *rule.not_stage) for rule in rules)
        return ["deploy"] if deploys else []
    found: list[list[str]] = []
    for spec in (s for s in net.layer if (cls := registry.get(s.type)) and cls.source):
        tests = [r for r in spec.include if not r.has("phase") or r.phase == Phase.TEST]
        if not spec.include or any(not rule.stage for rule in tests):
            return []
        found += [list(rule.stage) for rule in tests]
    return found[0] if found else []


def settle(net: caffelite.Net) -> None:
    """BatchNorm's stored statistics, zero in a fresh net, become mean 0 and variance 1."""
    for layer in net.layers:
        if layer.type == "BatchNorm":
            for blob, value in zip(net.params[layer.name], (0, 1, 1)):
                blob.data[...] = value


def fill(net: caffelite.Net) -> None:
    """Random values in every Input, such as its readers can use."""
    rng = np.random.default_rng(1)
    for name in net.inputs:
        data = net.blobs[name].data
        data[...] = rng.standard_normal(data.shape)
        for layer in net.layers:
            bottoms = list(layer.spec.bottom)
            if name not in bottoms:
                continue
            index, shape = bottoms.index(name), net.blobs[bottoms[0]].shape
            if layer.type == "Embed":
                top = layer.spec.get("embed_param").input_dim
            elif layer.type in ("LSTM", "RNN") and index == 1:
                data[...] = np.arange(len(data)).reshape(-1, *[1] * (data.ndim - 1)) > 0
                break
            elif layer.loss and index == 1 and data.shape != shape and len(shape) > 1:
                messages = layer.messages()
                axis = layer.spec.get("softmax_param").axis if "softmax_param" in messages else 1
                top = shape[axis]
            elif layer.loss and index > 0:
                top = 2
            else:
                continue
            data[...] = rng.integers(0, top, data.shape)
            break
