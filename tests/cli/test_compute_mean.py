"""`caffelite compute-mean` against Caffe's own file and NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caffelite.cli import main
from caffelite.data.writer import DatabaseWriter
from caffelite.schema.binary import read_blob
from caffelite.schema.datum import Datum

DATA = Path(__file__).parents[1] / "reference" / "data"
RNG = np.random.default_rng(2)
Capture = pytest.CaptureFixture[str]


def database(path: Path, images: list[np.ndarray]) -> Path:
    with DatabaseWriter(str(path)) as out:
        for i, image in enumerate(images):
            c, h, w = image.shape
            datum = Datum(channels=c, height=h, width=w, label=0)
            if image.dtype == np.uint8:
                datum.data = image.tobytes()
            else:
                datum.float_data = image.ravel().tolist()
            out.put(b"%08d" % i, datum)
    return path


def test_the_mean_is_caffes_byte_for_byte(tmp_path: Path) -> None:
    out = tmp_path / "mean.binaryproto"
    assert main(["compute-mean", str(DATA / "digits_lmdb"), str(out)]) == 0
    assert out.read_bytes() == (DATA / "mean.binaryproto").read_bytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_mean_is_numpys(dtype: type, tmp_path: Path, capsys: Capture) -> None:
    images = list(RNG.integers(0, 256, (7, 3, 4, 5)).astype(dtype))
    source = database(tmp_path / "lmdb", images)
    assert main(["compute-mean", str(source), str(tmp_path / "m.binaryproto")]) == 0
    expected = np.mean(images, axis=0)
    found = read_blob(tmp_path / "m.binaryproto")
    assert found.shape == (1, 3, 4, 5)
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    said = capsys.readouterr().out.splitlines()
    assert "7 images of 3 x 4 x 5" in said[0]
    values = [float(line.split(": ")[1]) for line in said[1:]]
    np.testing.assert_allclose(values, expected.mean(axis=(1, 2)), rtol=1e-5)


def test_without_a_file_it_only_tells(tmp_path: Path, capsys: Capture) -> None:
    source = database(tmp_path / "lmdb", [np.full((1, 2, 2), 7, np.uint8)])
    assert main(["compute-mean", str(source)]) == 0
    assert capsys.readouterr().out == "mean_value channel [0]: 7\n"


def test_a_record_of_another_shape_is_named(tmp_path: Path, capsys: Capture) -> None:
    source = database(tmp_path / "lmdb", [np.zeros(s, np.uint8) for s in [(1, 2, 2), (1, 2, 3)]])
    assert main(["compute-mean", str(source), str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert '"00000001"' in said
    assert "1 x 2 x 3" in said
    assert "1 x 2 x 2" in said
    assert not (tmp_path / "out").exists()


def test_what_is_no_database_is_refused(tmp_path: Path, capsys: Capture) -> None:
    assert main(["compute-mean", str(tmp_path / "absent")]) == 1
    assert "absent" in capsys.readouterr().err
    assert main(["compute-mean", str(tmp_path)]) == 1
    assert "expected an LMDB database" in capsys.readouterr().err
