"""The nets and solvers that come with caffelite: they are right as they stand in the folders.

Data files are made small and in the right form in a folder of their own, so that `check` has
nothing to excuse and every net that trains takes a real step.
"""

from __future__ import annotations

import gzip
import re
import shutil
import textwrap
from pathlib import Path

import numpy as np
import pytest

from caffelite import Net
from caffelite.files import load_net, parse_net
from caffelite.judge.check import check_file
from caffelite.layers.base import Context
from caffelite.plan.build import plan_net
from caffelite.plan.graph import state_for
from caffelite.schema.binary import write_blob
from caffelite.schema.common import Phase
from caffelite.schema.datum import Datum
from caffelite.schema.wire import encode
from caffelite.solver import get_solver

ROOT = Path(__file__).parents[1]
NETS = sorted((ROOT / "nets").glob("*.net"))
SOLVERS = sorted((ROOT / "solvers").glob("*.solver"))
MODEL = ROOT / "tests" / "reference" / "models" / "lenet_mnist8500"
TRAIN, TEST = Phase.TRAIN, Phase.TEST


def idx(path: Path, array: np.ndarray) -> None:
    """An IDX file of bytes."""
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(head + array.tobytes(), 1))


def recipe(name: str, folder: Path) -> None:
    """Make data by the very lines that a net gives its readers."""
    head = (ROOT / "nets" / f"{name}.net").read_text(encoding="utf-8").split("\nname:")[0]
    lines = re.search(r"^#   import .*?(?=^#$)", head, re.MULTILINE | re.DOTALL)
    assert lines
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(textwrap.dedent(lines[0].replace("\n#", "\n")[1:]), {})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all the data that the nets name, small."""
    folder = tmp_path_factory.mktemp("current")
    rng = np.random.default_rng(0)
    mnist, cifar = folder / "data" / "mnist", folder / "data" / "cifar10"
    mnist.mkdir(parents=True)
    cifar.mkdir()
    for part in ("train", "t10k"):
        idx(mnist / f"{part}-images-idx3-ubyte.gz", rng.integers(0, 256, (120, 28, 28), np.uint8))
        idx(mnist / f"{part}-labels-idx1-ubyte.gz", rng.integers(0, 10, 120, np.uint8))
    lmdb = pytest.importorskip("lmdb")
    for part in ("train", "test"):
        name = str(cifar / f"cifar10_{part}_lmdb")
        with lmdb.open(name, map_size=1 << 22) as env, env.begin(write=True) as transaction:
            for i in range(20):
                datum = Datum(channels=3, height=32, width=32, data=rng.bytes(3072), label=i % 10)
                transaction.put(b"%05d" % i, encode(datum))
    write_blob(cifar / "mean.binaryproto", np.full((1, 3, 32, 32), 120, np.float32))
    for name in ("multilabel", "fcn_shapes"):
        recipe(name, folder)
    image, style = pytest.importorskip("PIL.Image"), folder / "data" / "style"
    style.mkdir()
    image.new("RGB", (8, 8)).save(style / "a.png")
    for part in ("train", "test"):
        lines = (f"data/style/a.png {label}\n" for label in range(20))
        (style / f"{part}.txt").write_text("".join(lines))
    shutil.copy(ROOT / "LICENSE", folder / "README.md")  # char_lstm's text: any will do
    return folder


@pytest.fixture(autouse=True)
def current(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder with the data is the current one, as for a user."""
    monkeypatch.chdir(data)


@pytest.fixture(scope="module")
def hdf5(data: Path) -> None:
    """HDF5 files, made by the very lines that hdf5_logreg.net tells its readers to use."""
    pytest.importorskip("h5py")
    recipe("hdf5_logreg", data)


def path(name: str) -> Path:
    return ROOT / "nets" / f"{name}.net"


# What is published.

DEPLOY = ("deploy",)
PUBLISHED = [
    # net, phase, stages, parameters without BatchNorm's statistics, where the number is from
    ("lenet", TRAIN, (), 431_080, "Caffe's lenet.caffemodel: 1.7 MB of float32"),
    ("lenet", TEST, DEPLOY, 431_080, "the same"),
    ("cifar10_quick", TRAIN, (), 145_578, "Caffe's cifar10_quick"),
    ("cifar10_full", TRAIN, (), 89_578, "Caffe's cifar10_full"),
    ("cifar10_sigmoid", TRAIN, (), 89_578, "as cifar10_full"),
    ("cifar10_sigmoid_bn", TRAIN, (), 89_578 - 32 - 32 - 64, "without the biases of convolutions"),
    ("style", TRAIN, (), 60_965_224 - 4097 * 1000 + 4097 * 20, "CaffeNet with 20 classes"),
    ("caffenet", TEST, (), 60_965_224, "bvlc_reference_caffenet.caffemodel: 244 MB of float32"),
    ("squeezenet_v1.1", TEST, (), 1_235_496, "torchvision's squeezenet1_1"),
    ("googlenet", TEST, (), 6_998_552, "Szegedy et al.: 7 M, without auxiliary classifiers"),
    ("googlenet", TRAIN, (), 13_378_280, "bvlc_googlenet.caffemodel: 53.5 MB of float32"),
    ("resnet18", TEST, (), 11_689_512, "torchvision's resnet18"),
    ("resnet50", TEST, (), 25_557_032 + 64, "torchvision's resnet50; the release biases conv1"),
    ("mobilenet_v1", TEST, (), 4_231_976, "Howard et al.: 4.2 M; Keras's MobileNet, trainable"),
    ("siamese", TRAIN, (), 431_080 + 2 * 10 + 2, "Caffe's mnist_siamese: LeNet, then 10 to 2"),
    ("autoencoder", TRAIN, (), 2_837_314, "784-1000-500-250-30 and back, weights and biases"),
    ("hdf5_logreg", TRAIN, (), 4 * 2 + 2, "weights and biases"),
    # Some that are nobody else's: the arithmetic, written out.
    ("deconv", TRAIN, (), 2 * 16 * (16 + 16 * 8) + 2 * 9 * 64 + 57, "weights; 57 biases"),
    ("multilabel", TRAIN, (), 26 * 12 + 109 * 24 + 97 * 4, "weights and biases"),
    (
        "fcn_shapes",
        TRAIN,
        (),
        10 * 16 + 145 * 32 + 289 * 32 + 33 * 3 + 192,
        "bilinear filters last",
    ),
    (
        "char_lstm",
        TRAIN,
        (),
        256 * 64 + 4 * 256 * (64 + 256 + 1) + 256 * (256 + 1),
        "embedding; four gates from input, state and bias; scores",
    ),
    (
        "fcn8s_small",
        TRAIN,
        (),
        9 * (3 * 16 + 16 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 3 * 128 * 128)
        + 2 * (16 + 32 + 2 * 64 + 4 * 128)
        + 21 * (64 + 1 + 2 * (128 + 1))
        + 21 * (2 * 4 * 4 + 16 * 16),
        "3x3 convolutions, scale and shift, scores, bilinear filters",
    ),
    (
        "ssd_small",
        TEST,
        (),
        9 * (3 * 16 + 16 * 32 + 32 * 48 + 48 * 48 + 48 * 64 + 3 * 64 * 64)
        + 2 * (16 + 32 + 2 * 48 + 4 * 64)
        + 48
        + 25 * (4 * (9 * 48 + 1) + (6 + 6) * (9 * 64 + 1)),
        "3x3 convolutions, scale and shift, Normalize's scale, 4 + 21 filters for each box",
    ),
    (
        "ssd_shapes",
        TRAIN,
        (),
        9 * (3 * 16 + 16 * 32 + 32 * 48 + 48 * 64 + 3 * 64 * 64)
        + 2 * (16 + 32 + 48 + 4 * 64)
        + 8 * 4 * ((9 * 48 + 1) + 2 * (9 * 64 + 1)),
        "3x3 convolutions, scale and shift, 4 + 4 filters for each box",
    ),
]


def learned(file: Path, phase: Phase, stages: tuple[str, ...] = ()) -> int:
    """The parameters that are not BatchNorm's statistics; shared ones once. Allocates nothing."""
    net = load_net(file)
    state = state_for(net, phase, stages=list(stages))
    plan = plan_net(net, state, Context(phase, folder=str(file.parent)))
    return sum(int(np.prod(p.shape)) for p in plan.params if not p.declared.fixed)


@pytest.mark.usefixtures("hdf5")
@pytest.mark.parametrize(
    ("name", "phase", "stages", "count", "source"),
    [pytest.param(*row, id="-".join([row[0], row[1].name, *row[2]])) for row in PUBLISHED],
)
def test_the_parameters_are_as_many_as_published(
    name: str, phase: Phase, stages: tuple[str, ...], count: int, source: str
) -> None:
    assert learned(path(name), phase, stages) == count, source


@pytest.mark.parametrize("name", sorted({p[0] for p in PUBLISHED}))
def test_the_net_file_says_its_parameters(name: str) -> None:
    text = path(name).read_text(encoding="utf-8")
    (said,) = re.findall(r"^# Parameters: ([\d,]+)", text, re.MULTILINE)
    counts = {p[3] for p in PUBLISHED if p[0] == name}
    assert int(said.replace(",", "")) in counts
    assert all(f"{count:,}" in text for count in counts)


def test_every_net_is_in_the_table() -> None:
    assert {p[0] for p in PUBLISHED} | {"spiral"} == {file.stem for file in NETS}


# As they stand in the folders.


@pytest.mark.usefixtures("hdf5")
@pytest.mark.parametrize("file", NETS + SOLVERS, ids=lambda file: file.name)
def test_check_finds_no_mistake(file: Path) -> None:
    report = check_file(str(file), allow=["test-size"])  # the data here is a small stand-in
    found = [*report.mistakes, *report.warnings, *report.absent]
    assert not found, "\n\n".join(map(str, found))
    assert report.says


@pytest.mark.parametrize("file", NETS + SOLVERS, ids=lambda file: file.name)
def test_it_begins_by_saying_what_it_is(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert first.startswith("# ") and len(first) > 30
    assert max(map(len, text.splitlines())) <= 100
    if file in SOLVERS:
        assert f"caffelite train --solver solvers/{file.name}" in text


@pytest.mark.parametrize("file", SOLVERS, ids=lambda file: file.name)
def test_snapshots_are_named_after_the_solver(file: Path) -> None:
    assert f'snapshot_prefix: "{file.stem}"' in file.read_text(encoding="utf-8")


# They run.

TRAINED = ["lenet", "cifar10_quick", "cifar10_full", "siamese", "autoencoder", "char_lstm"]
TRAINED += ["cifar10_sigmoid", "deconv", "multilabel"]


@pytest.mark.usefixtures("hdf5")
@pytest.mark.parametrize("name", [*TRAINED, "hdf5_logreg"])
def test_a_step_down_the_gradient_lowers_the_loss(name: str) -> None:
    """Of the very batch that the gradient was taken on."""
    text = re.sub(r"batch_size: \d+", "batch_size: 10", path(name).read_text(encoding="utf-8"))
    net = Net(parse_net(text), TRAIN, seed=3)
    start = {layer.name: layer.state() for layer in net.layers if layer.source}
    losses = []
    for _ in range(2):
        for layer, state in start.items():
            net.layer_dict[layer].restore(state)
        tops = net.forward()
        losses.append(sum(float(tops[k]) * net.blob_loss_weights[k] for k in tops))
        net.clear_param_diffs()
        net.backward()
        blobs = {b.diff.ctypes.data: b for bs in net.params.values() for b in bs}  # shared: once
        for blob in blobs.values():
            assert np.isfinite(blob.diff).all()
            # A bias that moves both points of a siamese pair alike has no gradient.
            assert blob.diff.any() or (name == "siamese" and blob.diff.ndim == 1)
        squares = sum(float(np.vdot(b.diff, b.diff)) for b in blobs.values())
        for blob in blobs.values():  # to first order, one per cent of the loss
            blob.data[...] -= 0.01 * losses[0] / squares * blob.diff
    assert 0.9 * losses[0] < losses[1] < losses[0]


def test_a_detector_learns_and_is_tested(tmp_path: Path) -> None:
    """The whole way: shapes, matches, loss, update; detections, judgement, mAP."""
    text = re.sub(
        r"samples: 500 batch_size: 50", "samples: 4 batch_size: 4", path("ssd_shapes").read_text()
    )
    (tmp_path / "n.net").write_text(re.sub("batch_size: 16", "batch_size: 8", text))
    solver = (ROOT / "solvers" / "ssd_shapes.solver").read_text(encoding="utf-8")
    solver = re.sub("test_iter: 10", "test_iter: 1", solver.replace("../nets/ssd_shapes", "n"))
    (tmp_path / "s.solver").write_text(solver.replace('"ssd_shapes"', f'"{tmp_path}/s"'))
    run = get_solver(str(tmp_path / "s.solver"))
    losses = []
    for _ in range(12):
        run.step(1)
        losses.append(float(run.net.blobs["loss"].data))
    assert np.mean(losses[-3:]) < 0.75 * np.mean(losses[:3])
    found = run.test()
    assert list(found) == ["mAP", "mAP_class1", "mAP_class2", "mAP_class3"]
    assert all(0 <= float(value) <= 1 for value in found.values())


@pytest.mark.parametrize(
    ("name", "output", "shape"),
    [
        ("lenet", "prob", (1, 10)),
        ("cifar10_quick", "prob", (1, 10)),
        ("cifar10_full", "prob", (1, 10)),
        ("cifar10_sigmoid", "prob", (1, 10)),
        ("cifar10_sigmoid_bn", "prob", (1, 10)),
        ("style", "prob", (1, 20)),
        ("fcn_shapes", "prob", (1, 3, 32, 32)),
        ("deconv", "drawing", (1, 1, 28, 28)),
        ("siamese", "feat", (1, 2)),
        ("autoencoder", "decode1neuron", (1, 784)),
        ("char_lstm", "prob", (1, 1, 256)),
    ],
)
def test_the_stage_deploy_asks_for_no_data(
    name: str, output: str, shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    net = Net(path(name), TEST, stages=["deploy"], seed=1)
    assert net.inputs == (["data", "cont"] if name == "char_lstm" else ["data"])
    assert net.outputs == [output]
    net.blobs["data"].data[...] = 1
    top = net.forward()[output]
    assert top.shape == shape and np.isfinite(top).all()
    if output == "prob" and name != "char_lstm":
        np.testing.assert_allclose(top.sum(1), 1, rtol=1e-5)
    elif output == "prob":
        np.testing.assert_allclose(top.sum(), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "side", "shape"),
    [
        ("caffenet", 227, (1, 1000)),
        ("squeezenet_v1.1", 99, (1, 1000, 1, 1)),
        ("googlenet", 224, (1, 1000)),
        ("resnet18", 224, (1, 1000)),
        ("resnet50", 224, (1, 1000)),
        ("mobilenet_v1", 96, (1, 1000, 1, 1)),
        ("fcn8s_small", 75, (1, 21, 75, 75)),
    ],
)
def test_a_large_net_gives_probabilities(name: str, side: int, shape: tuple[int, ...]) -> None:
    """Where the text allows other sizes of input, at a smaller one."""
    net = Net(path(name), TEST, seed=1)
    if side < 224:
        net.blobs["data"].reshape(1, 3, side, side)
    for layer in net.layers:
        if layer.type == "BatchNorm":  # as if training had seen mean 0 and variance 1
            for blob, value in zip(layer.params, (0, 1, 1)):
                blob.data[...] = value
    net.blobs["data"].data[...] = np.random.default_rng(0).normal(size=(1, 3, side, side))
    prob = net.forward()["prob"]
    assert prob.shape == shape
    np.testing.assert_allclose(prob.sum(axis=1), 1, rtol=1e-4)
    assert prob.max() > prob.min()


def test_googlenet_trains_with_three_losses() -> None:
    net = Net(path("googlenet"), TRAIN, seed=1)
    net.blobs["data"].data[...] = np.random.default_rng(0).normal(size=(1, 3, 224, 224))
    losses = net.forward()
    weights = net.blob_loss_weights
    assert [(k, round(weights[k], 3)) for k in losses] == [
        ("loss1/loss1", 0.3),
        ("loss2/loss2", 0.3),
        ("loss3/loss3", 1),
    ]
    assert all(0 < float(loss) < 50 for loss in losses.values())


def test_fcn_learns_from_labelled_pixels_only() -> None:
    net = Net(path("fcn8s_small"), TRAIN, seed=1)
    for name, channels in (("data", 3), ("label", 1)):
        net.blobs[name].reshape(2, channels, 37, 50)
    net.blobs["data"].data[...] = np.random.default_rng(0).normal(size=(2, 3, 37, 50))
    net.blobs["label"].data[...] = 255
    net.blobs["label"].data[0, 0, :10] = 7
    loss = float(net.forward()["loss"])
    assert 1 < loss < 20
    net.clear_param_diffs()
    net.backward()
    assert not net.blobs["up3_cut"].diff[1].any() and not net.blobs["up3_cut"].diff[0, :, 10:].any()
    for name, blobs in net.params.items():
        fixed = name.startswith(("up", "bn"))
        assert all(blob.diff.any() != fixed for blob in blobs), name


def test_siamese_pairs_are_alike_where_their_labels_are() -> None:
    net = Net(path("siamese"), TEST, seed=1)
    equal = 0
    for _ in range(3):
        net.forward()
        a, b, sim = (net.blobs[k].data for k in ("label", "label_p", "sim"))
        np.testing.assert_array_equal(sim, a == b)
        equal += int(sim.sum())
    assert 0 < equal < 150  # of 300: the two readers have orders of their own
    feat, other = net.params["feat"], net.params["feat_p"]
    assert all(np.shares_memory(x.data, y.data) for x, y in zip(feat, other))


def test_lenet_takes_weights_that_caffe_trained_and_reads_digits() -> None:
    """60 digits that Caffe trained on; the layers find their weights by name."""
    pytest.importorskip("lmdb")
    text = path("lenet").read_text(encoding="utf-8")
    folder = ROOT / "tests" / "reference" / "data"
    source = (
        f'type: "Data" data_param {{ source: "{folder}/digits_lmdb" batch_size: 60 backend: LMDB }}'
    )
    text = re.sub(r'type: "IdxData"', source, text)
    text = re.sub(r"idx_data_param \{[^}]*\}", "", text)
    net = Net(parse_net(text), f"{MODEL}.caffemodel", TEST)
    assert float(net.forward()["accuracy"]) > 0.95
