"""The work of `caffelite export`."""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.cli.console import load_plugins, refuse_overwriting
from caffelite.cli.nets import given_shapes
from caffelite.deploy import Deployed, deploy_net
from caffelite.errors import CaffeliteError, Problem, SnapshotError
from caffelite.files import load_net
from caffelite.layers.base import Context
from caffelite.net import Net
from caffelite.paths import find_path
from caffelite.plan.graph import state_for
from caffelite.schema.binary import read_blob, write_atomically
from caffelite.schema.common import Phase, TransformationParameter
from caffelite.weights import AFRESH

if TYPE_CHECKING:
    from caffelite.onnx.export import Exported, Preparation
    from caffelite.onnx.verify import Report
    from caffelite.weights import Report as Copied


def _copied(net: Net, weights: str) -> Copied:
    """What `copy_from` says; to learn afresh what does not fit is no way out here."""
    try:
        return net.copy_from(weights)
    except SnapshotError as error:
        other = "these are the weights of another net: export needs those that this one has learned"
        said = (replace(p, hint=other if p.hint == AFRESH else p.hint) for p in error.problems)
        raise SnapshotError(*said) from None


def run(args: argparse.Namespace) -> int:
    """Export and verify; 0."""
    from caffelite.onnx.extra import require, require_opencv

    for package in ("onnx", *(["onnxruntime"] if args.verify != "none" else [])):
        require(package)
    if args.verify == "opencv":
        require_opencv()
    from caffelite.onnx.export import DEFAULT_OPSET, build
    from caffelite.onnx.verify import in_lines

    load_plugins(args)
    beside = [f"{args.output}.verify.txt", *([f"{args.output}.data"] if args.external else [])]
    for target in (args.output, *beside):
        refuse_overwriting(args.net, target, args.force)
    deployed, folder = _deployed(args)
    net = Net(deployed.net, Phase.TEST, folder=folder, seed=args.seed)
    report = _copied(net, args.weights)
    if report.missing:
        raise CaffeliteError(
            Problem(f"{args.weights} has no weights for {', '.join(report.missing)}")
        )
    for note in deployed.notes:
        print(f"{args.net}: {note}")
    exported = build(
        net,
        opset=args.opset or DEFAULT_OPSET,
        ir=args.ir,
        fixed=args.fixed,
        folding=args.fold,
        preparations=_preparations(args, deployed, net, folder),
    )
    for note in exported.notes:
        print(in_lines(f"{args.net}: {note}"))
    reports = [] if args.verify == "none" else _verified(args, exported, net)
    _write(args.output, exported, args.external)
    if reports:
        table = "\n\n".join(map(str, reports)) + "\n"
        write_atomically(f"{args.output}.verify.txt", table.encode())
    print(in_lines(f"{args.output}: {_summary(exported)}"))
    return 0


def _deployed(args: argparse.Namespace) -> tuple[Deployed, str]:
    shapes = given_shapes(args)
    param = load_net(args.net)
    stages = [stage for stage in args.stage.split(",") if stage]
    folder = os.path.dirname(os.path.abspath(args.net))
    state = state_for(param, Phase.TEST, args.level, stages)
    return deploy_net(param, state, shapes, Context(folder=folder)), folder


def _preparations(
    args: argparse.Namespace, deployed: Deployed, net: Net, folder: str
) -> dict[str, Preparation]:
    """What the model does to its inputs first."""
    from caffelite.onnx.export import Preparation

    given = args.mean is not None or args.scale is not None
    if args.prepare and given:
        raise CaffeliteError(
            Problem(
                "--prepare takes mean and scale from the net",
                hint="leave out --mean and --scale, or --prepare",
            )
        )
    found: dict[str, Preparation] = {}
    if args.prepare:
        for blob, param in deployed.transforms.items():
            mean = _mean_of(param, folder, net.blobs[blob].shape)
            found[blob] = Preparation(mean, param.scale)
        if not found:
            raise CaffeliteError(
                Problem(
                    "--prepare: the net has no transform_param",
                    hint="--mean 104,117,123 --scale 1 says it",
                )
            )
    elif given:
        blob = net.inputs[0]
        mean = None
        if args.mean is not None:
            mean = _mean(args.mean, net.blobs[blob].shape)
        found[blob] = Preparation(mean, 1.0 if args.scale is None else args.scale)
    return found


def _mean_of(param: TransformationParameter, folder: str, shape: Shape) -> Array | None:
    if param.has("mean_file"):
        return _fitted(read_blob(find_path(param.mean_file, folder, None, "mean file")), shape)
    if param.mean_value:
        return np.array(param.mean_value, np.float32).reshape(-1, *[1] * (len(shape) - 2))
    return None


def _mean(text: str, shape: Shape) -> Array:
    try:
        values = [float(v) for v in text.split(",")]
    except ValueError:
        return _fitted(read_blob(text), shape)
    if len(values) not in (1, shape[1] if len(shape) > 1 else 1):
        raise CaffeliteError(
            Problem(f"--mean {text}: {len(values)} values", expected=f"1, or {shape[1]}")
        )
    return np.array(values, np.float32).reshape(-1, *[1] * max(len(shape) - 2, 0))


def _fitted(mean: Array, shape: Shape) -> Array:
    """A mean image, its middle if the input is smaller: (C, H, W)."""
    have, wanted = list(mean.shape)[-3:], list(shape)[1:]
    if len(wanted) != 3 or have[0] != wanted[0] or have[1] < wanted[1] or have[2] < wanted[2]:
        raise CaffeliteError(
            Problem(
                f"the mean image is {have}, the input {wanted}", expected="one at least as large"
            )
        )
    top, left = (have[1] - wanted[1]) // 2, (have[2] - wanted[2]) // 2
    cut = mean.reshape(have)[:, top : top + wanted[1], left : left + wanted[2]]
    return np.asarray(cut, np.float32)


def _verified(args: argparse.Namespace, exported: Exported, net: Net) -> list[Report]:
    from caffelite.onnx.verify import check, verify, witness

    given = dict(_given(text, net) for text in args.given)
    reports = verify(exported, net, seed=args.seed, given=given, tolerance=args.tolerance)
    if args.verify == "opencv":
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.onnx")
            _write(path, exported, args.external)
            reports.append(witness(path, exported, net, seed=args.seed, tolerance=args.tolerance))
    print("\n\n".join(map(str, reports)))
    check(reports, "the model")
    return reports


def _given(text: str, net: Net) -> tuple[str, Array]:
    name, _, path = text.partition("=")
    if name not in net.inputs or not path:
        raise CaffeliteError(
            Problem(f"--try {text}", expected=f"BLOB=FILE.npy, BLOB one of {', '.join(net.inputs)}")
        )
    try:
        values: Any = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise CaffeliteError(Problem(f"{path} cannot be read: {error}")) from None
    return name, np.asarray(values, np.float32)


def _write(path: str, exported: Exported, external: bool) -> None:
    from caffelite.onnx.extra import require
    from caffelite.onnx.runtime import INLINE_LIMIT, save_outside

    large = exported.model.ByteSize() >= INLINE_LIMIT
    if not large:
        require("onnx").checker.check_model(exported.model)
    if external or large:
        copy = type(exported.model)()
        copy.CopyFrom(exported.model)
        save_outside(copy, path)
    else:
        write_atomically(path, exported.model.SerializeToString())


def _summary(exported: Exported) -> str:
    def shown(tensors: dict) -> str:
        return ", ".join(
            f"{name} ({' x '.join(map(str, dims)) or 'scalar'})" for name, dims in tensors.items()
        )

    opset = exported.model.opset_import[0].version
    ir = exported.model.ir_version
    return f"{shown(exported.inputs)} to {shown(exported.outputs)}; opset {opset}, IR {ir}"
