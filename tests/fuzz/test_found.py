"""What the fuzzers have found, a test each."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from caffelite.data.hdf5 import describe
from caffelite.data.windows import read_windows
from caffelite.errors import DataError


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
