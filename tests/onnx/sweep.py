"""The long checks: many random nets, all nets of nets/, those with published weights.

    python -m tests.onnx.sweep random 0 600
    python -m tests.onnx.sweep nets [NAME ...]
    python -m tests.onnx.sweep detection 0 200
    python -m tests.onnx.sweep boxes 0 800

Prints a line for each net that differs, or for each net, then how many were tried. Where OpenCV 5
can be imported, nets are shown to it too.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx

import caffelite
from caffelite import Net
from caffelite.deploy import deploy_net
from caffelite.errors import CaffeliteError
from caffelite.files import load_net, parse_net
from caffelite.onnx.export import Exported, build
from caffelite.onnx.verify import check, verify, witness
from caffelite.plan.graph import state_for
from caffelite.schema.common import Phase

from .random_boxes import random_boxes
from .random_nets import random_net

ROOT = Path(__file__).parents[2]
OPSETS = (13, 17, 18, 21)


def exported_random(seed: int) -> tuple[Exported, Net]:
    """A random net, exported with options that change from seed to seed."""
    net = random_net(seed)
    options = {"fixed": seed % 3 == 1, "folding": seed % 2 == 1, "opset": OPSETS[seed % 4]}
    return build(net, **options), net


def shipped(name: str, stages: list[str], shapes: dict[str, tuple[int, ...]]) -> Net:
    """The deploy form of a net of nets/, with random weights."""
    param = load_net(str(ROOT / "nets" / f"{name}.net"))
    deployed = deploy_net(param, state_for(param, Phase.TEST, 0, stages), shapes)
    net = Net(deployed.net, Phase.TEST, seed=1)
    rng = np.random.default_rng(0)
    for layer in net.layers:
        if layer.spec.type == "BatchNorm":
            for blob, (low, high) in zip(layer.params, ((-0.2, 0.2), (0.5, 1.5), (1, 1))):
                blob.data[...] = rng.uniform(low, high, blob.shape)
    return net


def random_detection(seed: int) -> tuple[str, dict[str, np.ndarray]]:
    """A net of one DetectionOutput with random settings, and inputs: boxes that overlap a lot."""
    rng = np.random.default_rng(seed)
    images, count, classes = (int(n) for n in (rng.integers(1, 4), rng.integers(1, 40), 3))
    share = bool(rng.integers(2))
    code = ("CORNER", "CENTER_SIZE", "CORNER_SIZE")[int(rng.integers(3))]
    param = [
        f"num_classes: {classes} share_location: {str(share).lower()} code_type: {code}",
        f"background_label_id: {rng.integers(-1, 3)}",
        f"keep_top_k: {rng.choice([-1, 1, 5, 20])}",
        f"variance_encoded_in_target: {str(bool(rng.integers(2))).lower()}",
        f"confidence_threshold: {rng.choice([0.1, 0.5, 0.95])}" if rng.random() < 0.7 else "",
        f"nms_param {{ nms_threshold: {rng.choice([0.2, 0.45, 0.7])} "
        + (f"top_k: {rng.choice([1, 4, 400])} }}" if rng.random() < 0.7 else "}"),
    ]
    kinds = 1 if share else classes
    low = rng.uniform(0, 0.7, (count, 2))
    corners = np.concatenate([low, low + rng.uniform(0.05, 0.3, (count, 2))], 1)
    inputs = {
        "loc": rng.normal(0, 1, (images, count * kinds * 4)),
        "conf": rng.uniform(0, 1, (images, count * classes)),
        "priors": np.stack([corners.ravel(), np.full(4 * count, 0.1)])[None],
    }
    lines = [
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {n}" for n in value.shape)
        + " } } }"
        for name, value in inputs.items()
    ]
    bottoms = " ".join(f'bottom: "{name}"' for name in inputs)
    lines.append(
        f'layer {{ name: "out" type: "DetectionOutput" {bottoms} top: "out" '
        f"detection_output_param {{ {' '.join(param)} }} }}"
    )
    return "\n".join(lines), {name: np.float32(value) for name, value in inputs.items()}


def check_detection(seed: int) -> int:
    """Raises CaffeliteError if the rows differ; gives how many there are."""
    return _check_rows(seed, *random_detection(seed))


def check_boxes(seed: int, kind: str = "") -> int:
    """As `check_detection`, for all layers that find boxes."""
    return _check_rows(seed, *random_boxes(seed, kind))


def _check_rows(seed: int, text: str, inputs: dict[str, np.ndarray]) -> int:
    net = Net(parse_net(text), caffelite.TEST)
    exported = build(net)
    onnx.checker.check_model(exported.model, full_check=True)
    reports = verify(exported, net, given=inputs, batches=())
    check(reports, f"net {seed}")
    return max(reports[0].rows[-1].shape[::2])


def opencv_agrees(exported: Exported, net: Net) -> str:
    """What OpenCV 5 says of the outputs, where it can be imported."""
    if importlib.util.find_spec("cv2") is None:
        return "OpenCV: not installed"
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.onnx"
        onnx.save(exported.model, path)
        try:
            report = witness(path, exported, net)
        except CaffeliteError as error:
            return f"OpenCV: {error}"
    worst = report.worst
    if worst is None:
        return "OpenCV: no outputs"
    return f"OpenCV {worst.error:.1e}" + ("" if report.first_wrong is None else " DIFFERS")


SHIPPED: list[tuple[str, list[str], dict[str, tuple[int, ...]]]] = [
    ("autoencoder", ["deploy"], {}),
    ("caffenet", [], {}),
    ("char_lstm", ["deploy"], {}),
    ("cifar10_full", ["deploy"], {}),
    ("cifar10_quick", [], {"data": (2, 3, 32, 32)}),
    ("cifar10_sigmoid", ["deploy"], {}),
    ("cifar10_sigmoid_bn", ["deploy"], {}),
    ("deconv", ["deploy"], {}),
    ("multilabel", ["deploy"], {}),
    ("style", ["deploy"], {}),
    ("fcn_shapes", ["deploy"], {}),
    ("fcn8s_small", [], {}),
    ("ssd_small", [], {}),
    ("ssd_shapes", [], {}),
    ("googlenet", [], {}),
    ("hdf5_logreg", [], {"data": (2, 4)}),
    ("lenet", [], {"data": (2, 1, 28, 28)}),
    ("mobilenet_v1", [], {}),
    ("resnet18", [], {}),
    ("resnet50", [], {}),
    ("siamese", ["deploy"], {}),
    ("spiral", [], {}),
    ("squeezenet_v1.1", [], {}),
]


def _nets(names: list[str]) -> None:
    for name, stages, shapes in SHIPPED:
        if names and name not in names:
            continue
        for folding in (False, True):
            net = shipped(name, stages, shapes)
            exported = build(net, folding=folding)
            reports = verify(exported, net)
            worst = max((r.worst for r in reports if r.worst), key=lambda row: row.error)
            wrong = [r.first_wrong for r in reports if r.first_wrong]
            print(
                f"{name:16} {'folded' if folding else '':7}{sum(len(r.rows) for r in reports):4} "
                f"blobs, largest error {worst.error:.1e} at {worst.blob}"
                f"{' DIFFERS' if wrong else ''} {opencv_agrees(exported, net)}",
                flush=True,
            )


def _verdict(said: str) -> str:
    """In one word what `opencv_agrees` found."""
    if said.endswith("not installed"):
        return "not asked: not installed"
    if said.startswith("OpenCV: "):
        return "refuses"
    return "differs" if "DIFFERS" in said else "agrees"


def main(what: str, *rest: str) -> None:
    """Run one of the checks."""
    warnings.simplefilter("ignore")
    if what == "nets":
        _nets(list(rest))
        return
    bad, types, opencv = 0, Counter(), Counter()
    first, last = (int(n) for n in rest)
    for seed in range(first, last):
        try:
            if what in ("detection", "boxes"):
                types["rows"] += (check_detection if what == "detection" else check_boxes)(seed)
                continue
            exported, net = exported_random(seed)
            types.update(layer.spec.type for layer in net.layers)
            onnx.checker.check_model(exported.model, full_check=True)
            check(verify(exported, net, seed=seed), f"net {seed}")
            said = opencv_agrees(exported, net)
            verdict = _verdict(said)
            opencv[f"OpenCV {verdict}"] += 1
            if verdict in ("differs", "refuses"):
                print(seed, said[:200], flush=True)
        except CaffeliteError as error:
            bad += 1
            print(seed, str(error)[:300], flush=True)
    print(f"{last - first} tried, {bad} differ; {sum(types.values())} {dict(types)} {dict(opencv)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
