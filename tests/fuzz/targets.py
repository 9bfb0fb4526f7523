"""What is read, from which valid files."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from caffelite.cli import main
from caffelite.data.images import read_image
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.net import Net
from caffelite.schema.binary import blob_proto, encode, read_blob
from caffelite.schema.common import Phase
from caffelite.snapshot import RunState, read_state, write_state
from caffelite.weights import read_weights, write_weights

from ..data.kinds import layer_text, make_files


@dataclass(frozen=True)
class Target:
    """`seeds` are valid contents of the file `name`; `read` reads a folder that holds it."""

    name: str
    seeds: list[bytes]
    read: Callable[[Path], object]


def make_targets(folder: Path) -> dict[str, Target]:
    """All targets; `folder` is filled with what they need beside the file that is damaged."""
    make_files(folder)
    text = (folder / "t.csv").read_bytes()
    targets = {
        "lmdb": Target("db/data.mdb", _contents(folder / "db/data.mdb"), read_layer("Data")),
        "csv": Target("t.csv", [text, b"a,b,c\n1,2,3\n4,5,6\n", b'"a",1\n"b",2\n'], _csv),
        "idx": Target(
            "labels", [_idx(np.arange(12)), _idx(np.ones((12, 2)))], read_layer("IdxData")
        ),
        "idx.gz": Target("images.gz", _contents(folder / "images.gz"), read_layer("IdxData")),
        "npz": Target("a.npz", _npz(), read_layer("NumpyData")),
        "hdf5": Target("0.h5", _hdf5(folder), read_layer("HDF5Data")),
        "list": Target("img.txt", _contents(folder / "img.txt"), read_layer("ImageData")),
        "windows": Target("w.txt", _contents(folder / "w.txt"), read_layer("WindowData")),
        "image": Target("image", _images(), lambda at: read_image(at / "image", None)),
        "net": Target("n.net", [(ROOT / f"nets/{name}.net").read_bytes() for name in NETS], _check),
        "solver": Target("s.solver", [_solver(folder)], _check),
        "mean": Target("mean", [encode(blob_proto(np.ones((3, 4))))], _mean),
    }
    net = parse_net(NET, "some.net")
    blobs = {"ip": [np.ones((3, 4), np.float32), np.zeros(3, np.float32)]}
    run = {"seed": 3, "layers": {"d": {"at": 1, "epoch": [1, 2]}}}
    state = RunState(7, "some.caffemodel", [np.ones((3, 4), np.float32)], 1, run)
    for ending in ("", ".h5"):
        weights, stored = folder / f"w.caffemodel{ending}", folder / f"w.solverstate{ending}"
        write_weights(weights, net, blobs)
        write_state(str(stored), state)
        targets[f"caffemodel{ending}"] = Target(weights.name, _contents(weights), _Weights(weights))
        targets[f"solverstate{ending}"] = Target(stored.name, _contents(stored), _State(stored))
    return targets


ROOT = Path(__file__).parents[2]
NETS = ["spiral", "siamese"]
NET = 'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" }'


def _contents(path: Path) -> list[bytes]:
    return [path.read_bytes()]


@dataclass(frozen=True)
class _Weights:
    path: Path

    def __call__(self, folder: Path) -> object:
        return read_weights(folder / self.path.name)


@dataclass(frozen=True)
class _State:
    path: Path

    def __call__(self, folder: Path) -> object:
        return read_state(str(folder / self.path.name))


def _solver(folder: Path) -> bytes:
    """The spiral's solver, with its net in the same folder."""
    shutil.copy(ROOT / "nets/spiral.net", folder)
    text = (ROOT / "solvers/spiral.solver").read_bytes()
    return text.replace(b"../nets/", b"").replace(b"nets/", b"")


def _check(folder: Path) -> object:
    """What `caffelite check` says of whichever of the two is there."""
    said = io.StringIO()
    (name,) = (n for n in ("n.net", "s.solver") if (folder / n).exists())
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = main(["check", str(folder / name)])
    finally:
        (folder / name).unlink()
    if status:
        raise CaffeliteError(said.getvalue())
    return status


def _mean(folder: Path) -> object:
    return read_blob(folder / "mean")


def read_layer(kind: str) -> Callable[[Path], object]:
    """Three batches of the layer."""

    def read(folder: Path) -> object:
        net = Net(parse_net(layer_text(kind), "some.net"), phase=Phase.TRAIN, folder=str(folder))
        return [net.forward() for _ in range(3)]

    return read


def _csv(folder: Path) -> object:
    return read_layer("CsvData")(folder)


def _idx(values: np.ndarray) -> bytes:
    shape = b"".join(n.to_bytes(4, "big") for n in values.shape)
    return bytes([0, 0, 8, values.ndim]) + shape + values.astype(np.uint8).tobytes()


def _npz() -> list[bytes]:
    found = []
    data, label = np.arange(12 * 126).reshape(12, 3, 6, 7), np.arange(12)
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, data=np.asfortranarray(data), label=label)
        found.append(file.getvalue())
    file = io.BytesIO()
    np.save(file, data)
    return [*found, file.getvalue()]


def _hdf5(folder: Path) -> list[bytes]:
    found = _contents(folder / "0.h5")
    for options in ({"compression": "gzip", "shuffle": True}, {"compression": "lzf"}):
        file = io.BytesIO()
        with h5py.File(file, "w") as made:
            made.create_dataset("data", data=np.ones((6, 4), np.float32), chunks=(2, 4), **options)
            made.create_dataset("label", data=np.arange(6), fletcher32=True, maxshape=(None,))
        found.append(file.getvalue())
    return found


def _images() -> list[bytes]:
    pixels = np.random.default_rng(1).integers(0, 256, (9, 11, 3)).astype(np.uint8)
    found = []
    for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"):
        for mode in ("RGB", "L"):
            file = io.BytesIO()
            Image.fromarray(pixels).convert(mode).save(file, kind)
            found.append(file.getvalue())
    return found


def restore(target: Target, folder: Path) -> None:
    """Put a valid file back."""
    (folder / target.name).write_bytes(target.seeds[0])


def copy_to(folder: Path, place: Path) -> Path:
    """A copy, which can be damaged."""
    return Path(shutil.copytree(folder, place))
