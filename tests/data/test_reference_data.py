"""The batches that the original Caffe served from the same files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caffelite import Net
from caffelite.schema.common import Phase

FOLDER = Path(__file__).parents[1] / "reference" / "data"


@pytest.mark.parametrize("name", sorted(p.stem for p in FOLDER.glob("*.npz")))
def test_batches_are_those_of_caffe(name: str) -> None:
    expected = np.load(FOLDER / f"{name}.npz")
    net = Net(FOLDER / f"{name}.prototxt", phase=Phase.TEST)
    tops = list(net.blobs)
    for batch in range(len(expected.files) // len(tops)):
        net.forward()
        for top in tops:
            np.testing.assert_allclose(
                net.blobs[top].data, expected[f"batch/{batch}/{top}"], rtol=2e-5, atol=2e-5
            )


def test_the_net_file_may_be_elsewhere_if_the_sources_are_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "a.net"
    copy.write_text((FOLDER / "hdf5.prototxt").read_text())
    monkeypatch.chdir(FOLDER)
    assert Net(copy, phase=Phase.TEST).layers[0].epoch_size == 12
