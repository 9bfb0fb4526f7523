"""What the fuzzers have found, a test each."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from caffelite.data.hdf5 import describe
from caffelite.data.windows import read_windows
from caffelite.errors import DataError
from caffelite.hdf5 import open_hdf5
from caffelite.judge.check import check_file


def test_a_name_in_hdf5_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file[b"dat\xe4"], file[b"\x1b[31m"] = np.ones((2, 2)), np.ones(2)
        file["label"] = np.ones(2)
    with pytest.raises(DataError, match="no data set") as caught:
        describe(str(path), ["data"])
    text = str(caught.value)
    assert "label" in text and all(c.isprintable() or c == "\n" for c in text)


def test_a_number_of_a_window_file_that_is_infinite(tmp_path: Path) -> None:
    path = tmp_path / "w.txt"
    path.write_text("# " + "9" * 1000)
    with pytest.raises(DataError, match="where the number of an image was expected"):
        read_windows(str(path))


def test_an_error_of_very_many_mistakes_is_short() -> None:
    error = DataError(*[f"mistake {i}" for i in range(200_000)])
    assert len(str(error)) < 5000 and str(error).endswith("200,000 mistakes, 100 of them shown")
    assert str(DataError("one", "two")) == "one\n\ntwo"


def test_a_misspelt_field_of_the_rates_policy(tmp_path: Path) -> None:
    """Its stepsize is 0 then, which no warning may divide by."""
    (tmp_path / "a.net").write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 2 } } }\n'
        'layer { name: "l" type: "EuclideanLoss" bottom: "x" bottom: "x" top: "l" }\n'
    )
    text = 'net: "a.net" base_lr: 1 lr_policy: "step" gamma: 0.5 stepsizm: 9 max_iter: 99\n'
    (tmp_path / "s.solver").write_text(text)
    report = check_file(str(tmp_path / "s.solver"))
    assert [p.message for p in report.mistakes] == ['SolverParameter has no field "stepsizm"']


def test_chunks_of_hdf5_that_are_smaller_than_they_must_be(tmp_path: Path) -> None:
    """HDF5 2.0 takes the checksum off a chunk of no bytes, and reads far beyond it."""
    path = tmp_path / "x.h5"
    for options, size in (({"fletcher32": True}, 3), ({"fletcher32": True}, 51), ({}, 47)):
        with h5py.File(path, "w") as file:
            data = file.create_dataset("data", (6,), "f8", chunks=(6,), **options)
            data.id.write_direct_chunk((0,), b"x" * size)
        with (
            pytest.raises(DataError, match="holds less than it should"),
            open_hdf5(str(path), DataError) as file,
        ):
            found = file.find("data")
            assert found is not None
            file.read(found)
