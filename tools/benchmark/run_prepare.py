"""Describe a net for all contenders, and record what caffelite's NumPy engine makes of it.

    python -m benchmark.run_prepare FOLDER           (started by bench.py)

FOLDER/job.json says which net and which passes. For each pass it leaves FOLDER/PASS.json (the
layers with all their fields) and FOLDER/PASS.npz (parameters, batches, and what came out), from
which the other contenders build the same net and check that they compute the same.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np

import caffelite
from caffelite.errors import CaffeliteError
from caffelite.schema.message import Message

from . import nets
from .child import say, skip

RECORDED = 5
"""Training steps that the contenders must agree on."""


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
        params = net.params.get(layer.name, ())
        tops = net.top_names[layer.name]
        layers.append(
            {
                "name": layer.name,
                "type": layer.type,
                "bottom": list(layer.spec.bottom),
                "top": tops,
                "inputs": [list(net.blobs[name].shape) for name in layer.spec.bottom],
                "source": layer.source,
                "params": messages,
                "set": set_fields,
                "weights": [keys[blob.data.ctypes.data] for blob in params],
                "shapes": [list(blob.shape) for blob in params],
                "losses": [net.blob_loss_weights[t] for t in tops],
            }
        )
    count = sum(data.size for data in values.values())
    description = {"layers": layers, "learned": learned, "parameters": count}
    description |= {"lr": nets.LR, "momentum": nets.MOMENTUM, "decay": nets.DECAY}
    description["outputs"] = net.outputs
    for spiral in (layer for layer in net.layers if layer.type == "SpiralData"):
        values |= {"points": spiral.points, "labels": spiral.labels}  # type: ignore[attr-defined]
    return description, values


def loss_of(net: caffelite.Net) -> float:
    """The objective as the last forward pass left it."""
    weights = net.blob_loss_weights.items()
    return sum(weight * float(net.blobs[n].data.sum()) for n, weight in weights if weight)


def prepare(folder: str, job: dict[str, Any], which: str) -> None:
    param = nets.measurable(job, which)
    ratios = nets.without_chance(param)
    solver = nets.trainer(param) if which == "train" else None
    net = solver.net if solver else nets.tester(param)
    nets.fill(net)
    if solver and not any(net.blob_loss_weights.values()):
        say(note=f"{job['net']} has no loss to train: the forward pass only")
        return
    description, values = describe(net)
    sources = [top for layer in net.layers if layer.source for top in net.top_names[layer.name]]
    description["dropout"] = ratios
    description["inputs"] = {name: list(net.blobs[name].shape) for name in sources}
    # Inputs stay as they are; what draws its batches gives another one each time
    fixed = all(layer.type == "Input" for layer in net.layers if layer.source)
    description["fixed"] = fixed
    description["recorded"] = RECORDED if solver or not fixed else 1
    for k in range(description["recorded"]):
        if solver:
            solver.step(1)
            expected = np.array([loss_of(net)])
        else:
            net.forward()
            expected = np.concatenate([net.blobs[n].data.ravel() for n in net.outputs])
        values[f"expected/{k}"] = expected
        for i, name in enumerate(sources if k == 0 or not fixed else []):
            values[f"batch/{k}/{i}"] = net.blobs[name].data.copy()
    with open(os.path.join(folder, f"{which}.json"), "w") as file:
        json.dump(description, file)
    contents: Any = values
    np.savez(os.path.join(folder, f"{which}.npz"), **contents)
    keep = ("inputs", "parameters")
    say(**{"pass": which}, **{name: description[name] for name in keep})


def main(folder: str) -> None:
    with open(os.path.join(folder, "job.json")) as file:
        job = json.load(file)
    try:
        nets.use_engine("numpy")
        for which in job["passes"]:
            prepare(folder, job, which)
    except CaffeliteError as error:
        skip(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
