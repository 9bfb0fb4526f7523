"""The work of `caffelite plot`."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from caffelite.cli.console import load_plugins, refuse_overwriting
from caffelite.errors import CaffeliteError, Problem, did_you_mean
from caffelite.net import Net
from caffelite.plan.graph import plural
from caffelite.plot.pictures import save_png
from caffelite.schema.common import Phase
from caffelite.use.inputs import fill_inputs
from caffelite.use.predict import Options, Predictor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run(args: argparse.Namespace) -> int:
    """Draw; 0."""
    load_plugins(args)
    if args.out:
        refuse_overwriting("", args.out, args.force, drawn=True)
    if args.kind == "boundary":
        return _boundary(args)
    draw = {
        "curves": _curves,
        "filters": _filters,
        "activations": _activations,
        "histograms": _histograms,
    }[args.kind]
    figure, name = draw(args)
    out = args.out or f"{name}_{args.kind}.png"
    print(f"wrote {out} ({save_png(figure, out, args.force)})")
    return 0


def _boundary(args: argparse.Namespace) -> int:
    from caffelite.cli.work.boundary import draw

    net, weights = _pair(args) if args.files else (None, None)
    draw(
        argparse.Namespace(
            net=net, weights=weights, out=args.out, blob=args.blob, grid=args.grid,
            log=None, curves=None, show=False, force=args.force,
        )
    )  # fmt: skip
    return 0


def _pair(args: argparse.Namespace) -> tuple[str, str]:
    if len(args.files) != 2:
        raise CaffeliteError(
            Problem(
                f"caffelite plot {args.kind}: {plural(len(args.files), 'file')}",
                expected="NET and WEIGHTS",
                hint="`caffelite plot --help` shows how it is used",
            )
        )
    return args.files[0], args.files[1]


def _curves(args: argparse.Namespace) -> tuple[Figure, str]:
    from caffelite.plot.curves import draw_curves
    from caffelite.plot.logs import read_log
    from caffelite.plot.runs import draw_runs

    if not args.files:
        raise CaffeliteError(
            Problem("caffelite plot curves: no log is given", expected="PREFIX.jsonl, or a text")
        )
    logs = [read_log(path) for path in args.files]
    names = [Path(path).stem for path in args.files]
    if len(logs) == 1:
        return draw_curves(logs[0], names[0]), names[0]
    if len(set(names)) < len(names):
        names = list(args.files)
    return draw_runs(logs, names, f"{len(logs)} runs"), "runs"


def _net(args: argparse.Namespace, phase: Phase = Phase.TEST) -> Net:
    path, weights = _pair(args)
    stages = [stage for stage in args.stage.split(",") if stage]
    net = Net(path, phase, stages=stages, seed=0)
    net.copy_from(weights)
    return net


def _stem(args: argparse.Namespace) -> str:
    return Path(args.files[0]).stem


def _filters(args: argparse.Namespace) -> tuple[Figure, str]:
    from caffelite.plot.arrays import draw_tiles, tiles_of

    path, weights = _pair(args)
    stages = [stage for stage in args.stage.split(",") if stage]
    # the deploy form needs no data
    net = Predictor(path, weights, Options(stages, blob=None)).net if not args.layer else _net(args)
    params = net.params
    known = [name for name, blobs in params.items() if blobs[0].data.ndim >= 2]
    name = args.layer
    if name is None:
        name = next((n for n in known if params[n][0].data.ndim == 4), known[0] if known else None)
    if name is None or name not in params:
        raise CaffeliteError(
            Problem(
                f'no layer "{name}" with filters' if name else "the net has no filters",
                expected="one of " + ", ".join(known) if known else None,
                hint=did_you_mean(name or "", known),
            )
        )
    values = params[name][0].data
    index = [layer.name for layer in net.layers].index(name)
    bottom = net.layers[index].bottom_shapes[0][1:]
    tiles = tiles_of(values, bottom if len(bottom) == 3 and min(bottom[1:]) > 1 else None)
    across = values.shape[1] if values.ndim == 4 and 1 < values.shape[1] <= 32 else None
    across = across if tiles.shape[-1] == 1 else None
    shape = "x".join(map(str, values.shape))
    return draw_tiles(tiles, f"{net.name or _stem(args)} {name}", f"filters {shape}", across), (
        f"{_stem(args)}_{_plain(name)}"
    )


def _plain(name: str) -> str:
    return name.replace("/", "_").replace(os.sep, "_")


def _activations(args: argparse.Namespace) -> tuple[Figure, str]:
    from caffelite.plot.arrays import draw_tiles, draw_vectors

    if args.input:
        path, weights = _pair(args)
        stages = [stage for stage in args.stage.split(",") if stage]
        predictor = Predictor(path, weights, Options(stages), args.input)
        net = predictor.net
        (_, sample), *_ = predictor.samples([args.input])
        net.blobs[predictor.input].data[...] = sample
        source = Path(args.input).name
    else:
        net = _net(args)
        fill_inputs(net)
        source = "random input" if net.inputs else "the first sample"
    made = net.plan.graph.blobs
    name = args.blob or next(
        (
            n
            for n, b in net.blobs.items()
            if len(b.shape) == 4 and not made[n].first.maker.cls.source
        ),
        net.outputs[0],
    )
    if name not in net.blobs:
        known = "one of " + ", ".join(net.blobs)
        hint = did_you_mean(name, net.blobs)
        raise CaffeliteError(Problem(f'no blob "{name}"', expected=known, hint=hint))
    net.forward(blobs=[name])
    values = np.array(
        net.blobs[name].data[0] if net.blobs[name].data.ndim else net.blobs[name].data
    )
    shape = "x".join(map(str, values.shape)) or "1"
    title, what = f"{net.name or _stem(args)} {name}", f"activations {shape} of {source}"
    stem = f"{_stem(args)}_{_plain(name)}"
    if values.ndim < 2 or math.prod(values.shape[1:]) == 1:
        return draw_vectors(values, title, what), stem
    planes = values.reshape(-1, *values.shape[-2:]) if values.ndim > 2 else values[None]
    return draw_tiles(planes[..., None], title, what), stem


def _histograms(args: argparse.Namespace) -> tuple[Figure, str]:
    from caffelite.plot.arrays import Named, draw_histograms

    net = _net(args, Phase.TRAIN if args.gradients else Phase.TEST)
    if not net.params:
        raise CaffeliteError(Problem("the net has no parameters"))
    gradients: list[Named] = []
    weights = [
        Named(f"{layer}[{i}]", blob.data)
        for layer, blobs in net.params.items()
        for i, blob in enumerate(blobs)
    ]
    if args.gradients:
        fill_inputs(net)
        net.clear_param_diffs()
        net.forward_backward()
        gradients = [
            Named(f"{layer}[{i}], gradient", blob.diff)
            for layer, blobs in net.params.items()
            for i, blob in enumerate(blobs)
        ]
    count = sum(named.values.size for named in weights)
    said = f"{count:,} parameters" + (", gradients of one batch" if args.gradients else "")
    return draw_histograms(weights, gradients, net.name or _stem(args), said), _stem(args)
