"""The nets and solvers that come with caffelite: they are right as they stand in the folders.

Data files are made small and in the right form in a folder of their own, so that `check` has nothing
to excuse and every net that trains takes a real step.
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
from caffelite.build import plan_net
from caffelite.cli.check import check_file
from caffelite.files import load_net
from caffelite.graph import state_for
from caffelite.layers.base import Context
from caffelite.schema.binary import write_blob
from caffelite.schema.common import Phase
from caffelite.schema.datum import Datum
from caffelite.schema.wire import encode

ROOT = Path(__file__).parents[1]
NETS = sorted((ROOT / "nets").glob("*.net"))
SOLVERS = sorted((ROOT / "solvers").glob("*.solver"))
MODEL = ROOT / "tests" / "reference" / "models" / "lenet_mnist8500"
TRAIN, TEST = Phase.TRAIN, Phase.TEST


def idx(path: Path, array: np.ndarray) -> None:
    """An IDX file of bytes."""
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(head + array.tobytes(), 1))


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
        with lmdb.open(str(cifar / f"cifar10_{part}_lmdb"), map_size=1 << 22) as env:
            with env.begin(write=True) as transaction:
                for i in range(20):
                    datum = Datum(channels=3, height=32, width=32, data=rng.bytes(3072), label=i % 10)
                    transaction.put(b"%05d" % i, encode(datum))
    write_blob(cifar / "mean.binaryproto", np.full((1, 3, 32, 32), 120, np.float32))
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
    head = (ROOT / "nets" / "hdf5_logreg.net").read_text(encoding="utf-8").split("\nname:")[0]
    lines = [line[1:] for line in head.splitlines() if line.startswith("#   ")]
    recipe = textwrap.dedent("\n".join(lines[1:-1]))  # not the picture above, the command below
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(data)
        exec(recipe, {})


def path(name: str) -> Path:
    return ROOT / "nets" / f"{name}.net"


# What is published.

DEPLOY = ("deploy",)
PUBLISHED = [
    # net, phase, stages, learned parameters (without BatchNorm's statistics), where the number is from
    ("lenet", TRAIN, (), 431_080, "the size of Caffe's lenet_iter_10000.caffemodel, 1.7 MB of float32"),
    ("lenet", TEST, DEPLOY, 431_080, "the same"),
    ("cifar10_quick", TRAIN, (), 145_578, "Caffe's cifar10_quick"),
    ("cifar10_full", TRAIN, (), 89_578, "Caffe's cifar10_full"),
    ("caffenet", TEST, (), 60_965_224, "AlexNet with groups: 61 M; Caffe's model of 243,862,418 bytes"),
    ("squeezenet_v1.1", TEST, (), 1_235_496, "torchvision's squeezenet1_1"),
    ("googlenet", TEST, (), 6_998_552, "Szegedy et al. 2014: 7 M; bvlc_googlenet without auxiliaries"),
    ("googlenet", TRAIN, (), 13_378_280, "bvlc_googlenet.caffemodel, 53.5 MB of float32"),
    ("resnet18", TEST, (), 11_689_512, "torchvision's resnet18"),
    ("resnet50", TEST, (), 25_557_032 + 64, "torchvision's resnet50, and the release's bias of conv1"),
    ("mobilenet_v1", TEST, (), 4_231_976, "Howard et al. 2017: 4.2 M; Keras's MobileNet, trainable"),
    ("siamese", TRAIN, (), 431_080 + 2 * 10 + 2, "Caffe's mnist_siamese: LeNet and a layer to the plane"),
    ("autoencoder", TRAIN, (), 2_837_314, "784-1000-500-250-30 and back: the arithmetic of the paper"),
    # The last two are nobody's: the arithmetic, written out.
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
    ("hdf5_logreg", TRAIN, (), 4 * 2 + 2, "arithmetic"),
]


def learned(file: Path, phase: Phase, stages: tuple[str, ...] = ()) -> int:
    """The parameters that are not BatchNorm's statistics; shared ones once. Allocates nothing."""
    net = load_net(file)
    state = state_for(net, phase, stages=list(stages))
    plan = plan_net(net, state, Context(phase, folder=str(file.parent)))
    return sum(int(np.prod(p.shape)) for p in plan.params if not p.declared.fixed)


@pytest.mark.usefixtures("hdf5")
@pytest.mark.parametrize(("name", "phase", "stages", "count", "source"), PUBLISHED)
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
    problems, lines = check_file(str(file))
    assert not problems, "\n\n".join(map(str, problems))
    assert lines


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


@pytest.mark.usefixtures("hdf5")
@pytest.mark.parametrize("name", [*TRAINED, "hdf5_logreg"])
def test_a_step_down_the_gradient_lowers_the_loss(name: str) -> None:
    """Of the very batch that the gradient was taken on."""
    net = Net(path(name), TRAIN, seed=3)
    losses = []
    for _ in range(2):
        net.layers[0].restore({})  # begin the data again
        for layer in net.layers:
            if layer.source:
                layer.restore(START.setdefault((name, layer.name), layer.state()))
        losses.append(sum(float(v.sum()) for k, v in net.forward().items() if k != "l2_error"))
        net.clear_param_diffs()
        net.backward()
        squares = 0.0
        for blobs in net.params.values():
            for blob in blobs:
                assert np.isfinite(blob.diff).all() and blob.diff.any(), name
                squares += float(np.vdot(blob.diff, blob.diff))
        for blob in {id(b.data): b for bs in net.params.values() for b in bs}.values():
            blob.data[...] -= 0.01 * losses[0] / squares * blob.diff
    assert losses[1] < losses[0]
