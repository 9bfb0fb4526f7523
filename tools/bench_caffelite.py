"""caffelite's part of `bench.py`: the net with random input, described for the others, and timed.

    python tools/bench_caffelite.py FOLDER prepare           (started by bench.py)
    python tools/bench_caffelite.py FOLDER train|forward

FOLDER/job.json says what to run. `prepare` writes, for each pass, FOLDER/PASS.json (the layers with
all their fields) and FOLDER/PASS.npz (parameters, batches, and what caffelite made of them), from
which the other contenders build the same net and check that they compute the same.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np
from bench_child import peak_mb, say, serve, skip

import caffelite
from caffelite.errors import CaffeliteError
from caffelite.files import load_net
from caffelite.layers.base import registry
from caffelite.schema.common import BlobShape
from caffelite.schema.message import Message
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.schema.solver import SolverParameter
from caffelite.solver import Monitor

RECORDED = 5
"""Batches that the contenders must agree on."""
FILELESS = ("Input", "DummyData", "SpiralData", "Parameter")
"""Sources that need no files; every other one is replaced by an Input."""
LR, MOMENTUM, DECAY = 0.001, 0.9, 0.0005


def with_inputs(net: NetParameter, job: dict[str, Any]) -> NetParameter:
    """The net without data files: sources become Inputs of the same tops; no Accuracy layers,
    which have no part in training."""
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
            spec = as_input(spec, job)
        layers.append(spec)
    net.layer = layers
    return net


def as_input(spec: LayerParameter, job: dict[str, Any]) -> LayerParameter:
    """An Input for a data layer: the first top is N x one sample, the others are N."""
    given = [spec.get(name) for name in registry[spec.type].messages() if spec.has(name)]
    sizes = [m.batch_size for m in given if "batch_size" in m.specs]
    batch = job["batch"] or (sizes[0] if sizes else 1)
    sample = job["shape"] or sample_of(spec)
    if not sample:
        skip(
            f'layer "{spec.name}" ({spec.type}): the shape of a sample is not in the net file. '
            "Say it: --shape 3,227,227"
        )
    shapes = [BlobShape(dim=[batch, *sample]), *(BlobShape(dim=[batch]) for _ in spec.top[1:])]
    new = LayerParameter(name=spec.name, type="Input", top=list(spec.top))
    new.include, new.exclude = spec.include, spec.exclude
    new.get("input_param").shape = shapes
    return new


def sample_of(spec: LayerParameter) -> list[int] | None:
    """The shape of one sample as far as the text tells. IDX files are taken for MNIST's."""
    transform = spec.transform_param
    if spec.type == "MemoryData":
        memory = spec.get("memory_data_param")
        return [memory.channels, memory.height, memory.width]
    if spec.type == "IdxData":
        return [1, transform.crop_size or 28, transform.crop_size or 28]
    if transform.crop_size:
        return [1 if transform.force_gray else 3, transform.crop_size, transform.crop_size]
    return None


def fill(net: caffelite.Net) -> None:
    """Random values in every Input, such as its readers can use; BatchNorm's stored statistics,
    zero in a fresh net, become mean 0 and variance 1."""
    rng = np.random.default_rng(1)
    for name in net.inputs:
        data = net.blobs[name].data
        data[...] = rng.standard_normal(data.shape)
        for layer in net.layers:
            if name not in layer.spec.bottom:
                continue
            index = list(layer.spec.bottom).index(name)
            shape = layer.bottom_shapes[0]
            if layer.type == "Embed":
                top = layer.spec.get("embed_param").input_dim
            elif layer.type in ("LSTM", "RNN") and index == 1:
                data[...] = np.arange(len(data)).reshape(-1, *[1] * (data.ndim - 1)) > 0
                break
            elif layer.loss and index == 1 and data.shape != shape and len(shape) > 1:
                top = shape[1]
            elif layer.loss and index > 0:
                top = 2
            else:
                continue
            data[...] = rng.integers(0, top, data.shape)
            break
    for layer in net.layers:
        if layer.type == "BatchNorm":
            for blob, value in zip(layer.params, (0, 1, 1)):
                blob.data[...] = value


def trainer(net: NetParameter) -> caffelite.SGDSolver:
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
    solver = caffelite.SGDSolver(param, Monitor())
    fill(solver.net)
    return solver


def tester(net: NetParameter) -> caffelite.Net:
    tested = caffelite.Net(net, caffelite.TEST, seed=1)
    fill(tested)
    return tested


def fields(message: Message) -> dict[str, Any]:
    """All fields with their values or defaults, enums by name."""
    return {name: plain(message.get(name)) for name in message.specs}


def plain(value: Any) -> Any:
    if isinstance(value, Message):
        return fields(value)
    if isinstance(value, (list, np.ndarray)):
        return [plain(v) for v in value]
    return getattr(value, "name", value)


def describe(net: caffelite.Net) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The net for those who don't know caffelite, and its parameters."""
    arena = net.arena
    keys, values, learned = {}, {}, {}
    for i, (param, data) in enumerate(zip(arena.params, arena.split(arena.data))):
        keys[data.ctypes.data] = key = f"param/{i}"
        values[key] = data.copy()
        learned[key] = [param.lr_mult, param.decay_mult]
    layers = []
    for layer in net.layers:
        messages = {name: fields(layer.spec.get(name)) for name in layer.messages()}
        set_fields = {n: [f.name for f, _ in layer.spec.get(n).set_fields()] for n in messages}
        layers.append(
            {
                "name": layer.name,
                "type": layer.type,
                "bottom": list(layer.spec.bottom),
                "top": net.top_names[layer.name],
                "source": layer.source,
                "params": messages,
                "set": set_fields,
                "weights": [keys[blob.data.ctypes.data] for blob in layer.params],
                "shapes": [list(blob.shape) for blob in layer.params],
                "losses": [net.blob_loss_weights[t] for t in net.top_names[layer.name]],
            }
        )
    count = sum(data.size for data in values.values())
    description = {"layers": layers, "learned": learned, "parameters": count}
    description |= {"lr": LR, "momentum": MOMENTUM, "decay": DECAY, "recorded": RECORDED}
    description["outputs"] = net.outputs
    for spiral in (layer for layer in net.layers if layer.type == "SpiralData"):
        values |= {"points": spiral.points, "labels": spiral.labels}  # type: ignore[attr-defined]
    return description, values


def prepare(folder: str, job: dict[str, Any]) -> None:
    """Describe the net for every pass, and record what caffelite computes."""
    for which in job["passes"]:
        param = with_inputs(load_net(job["net"]), job)
        ratios = {}
        for spec in param.layer:
            if spec.type == "Dropout":  # chance differs: agreement is checked without it
                dropout = spec.get("dropout_param")
                ratios[spec.name], dropout.dropout_ratio = dropout.dropout_ratio, 0.0
        solver = trainer(param) if which == "train" else None
        net = solver.net if solver else tester(param)
        if solver and not any(net.blob_loss_weights.values()):
            say(note=f"{job['net']} has no loss to train: the forward pass only")
            continue
        description, values = describe(net)
        sources = [top for layer in net.layers if layer.source for top in net.top_names[layer.name]]
        description["dropout"] = ratios
        description["inputs"] = {name: list(net.blobs[name].shape) for name in sources}
        for k in range(RECORDED):
            if solver:
                net.clear_param_diffs()
                expected = np.array([net.forward_backward()])
                solver.apply_update()
            else:
                net.forward()
                expected = np.concatenate([net.blobs[n].data.ravel() for n in net.outputs])
            values[f"expected/{k}"] = expected
            for i, name in enumerate(sources):
                values[f"batch/{k}/{i}"] = net.blobs[name].data.copy()
        with open(os.path.join(folder, f"{which}.json"), "w") as file:
            json.dump(description, file)
        contents: Any = values
        np.savez(os.path.join(folder, f"{which}.npz"), **contents)
        keep = ("inputs", "parameters")
        say(**{"pass": which}, **{name: description[name] for name in keep})


def main(folder: str, which: str) -> None:
    with open(os.path.join(folder, "job.json")) as file:
        job = json.load(file)
    try:
        if which == "prepare":
            prepare(folder, job)
            return
        imported = peak_mb()
        param = with_inputs(load_net(job["net"]), job)
        if which == "train":
            run = trainer(param).step
        else:
            net = tester(param)

            def run(count: int) -> None:
                for _ in range(count):
                    net.forward_loss()

        serve(run, version=caffelite.__version__, import_mb=imported, difference=0.0)
    except CaffeliteError as error:
        skip(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
