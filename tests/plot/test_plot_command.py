"""caffelite plot: every kind of picture is drawn, of what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.cli import main
from caffelite.plot.arrays import Named, draw_histograms, draw_tiles, tiles_of
from caffelite.plot.logs import Log
from caffelite.plot.runs import draw_runs

NET = """
  name: "p"
  layer { name: "d" type: "NumpyData" top: "data" top: "label"
          numpy_data_param { source: "x.npz" batch_size: 2 } }
  layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
          convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
  layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
          inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
  layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
PNG = b"\x89PNG"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("x.npz", data=rng.normal(size=(4, 3, 6, 7)), label=np.arange(4) % 2)
    np.save("one.npy", rng.normal(size=(3, 6, 7)))
    Path("p.net").write_text(NET)
    caffelite.Net("p.net", caffelite.TEST, seed=1).save("w.caffemodel")


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ("filters p.net w.caffemodel", "p_conv_filters.png"),
        ("filters p.net w.caffemodel --layer ip", "p_ip_filters.png"),
        ("activations p.net w.caffemodel", "p_conv_activations.png"),
        ("activations p.net w.caffemodel --blob ip --input one.npy", "p_ip_activations.png"),
        ("histograms p.net w.caffemodel", "p_histograms.png"),
        ("histograms p.net w.caffemodel --gradients -o h.png", "h.png"),
    ],
)
def test_a_picture_is_written(words: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", *words.split()]) == 0
    assert capsys.readouterr().out.startswith(f"wrote {file} (")
    assert Path(file).read_bytes()[:4] == PNG


def test_curves_of_one_run_and_of_several() -> None:
    Path("a.log").write_text(
        "I0101 10:00:00.000000 1 solver.cpp:218] Iteration 0 (0 iter/s, 0s/10 iters), loss = 2\n"
        "I0101 10:00:00.000000 1 sgd_solver.cpp:105] Iteration 0, lr = 0.1\n"
        "I0101 10:00:01.000000 1 solver.cpp:218] Iteration 10 (9 iter/s, 1s/10 iters), loss = 1\n"
    )
    Path("b.jsonl").write_text(
        '{"event": "train", "iteration": 0, "loss": 3, "lr": 0.1}\n'
        '{"event": "test", "iteration": 5, "net": 0, "outputs": {"accuracy": 0.5}}\n'
    )
    assert main(["plot", "curves", "a.log"]) == 0 and Path("a_curves.png").exists()
    assert main(["plot", "curves", "a.log", "b.jsonl"]) == 0 and Path("runs_curves.png").exists()


def test_runs_share_panels() -> None:
    first, second = Log("a"), Log("b")
    first.loss.values, second.loss.values = {0: 2.0, 10: 1.0}, {0: 3.0}
    first.rate.values, second.rate.values = {0: 0.1}, {0: 0.1}
    second.at = 5
    second.add_outputs("test", 0, {"accuracy": [0.5]})
    figure = draw_runs([first, second], ["a", "b"], "2 runs")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["training loss", "test accuracy"]  # the rates are the same
    assert [len(axes.lines) for axes in figure.axes] == [2, 1]


def test_tiles() -> None:
    filters = np.arange(4 * 3 * 2 * 2.0).reshape(4, 3, 2, 2)
    tiles = tiles_of(filters)
    assert tiles.shape == (4, 2, 2, 3)
    np.testing.assert_array_equal(tiles[1, ..., 0], filters[1, 2])  # red is the last of B G R
    assert tiles_of(np.zeros((4, 5, 2, 3))).shape == (20, 2, 3, 1)
    assert tiles_of(np.zeros((7, 12)), (3, 2, 2)).shape == (7, 2, 2, 3)
    assert tiles_of(np.zeros((3, 8))).shape == (1, 3, 8, 1)
    assert tiles_of(np.zeros((8, 2))).shape == (1, 2, 8, 1)
    assert "44 more are not shown" in _texts(draw_tiles(np.zeros((300, 2, 2, 1)), "t", "s"))


def test_histograms_say_what_is_odd() -> None:
    values = np.array([0, 0, 1, np.nan])
    figure = draw_histograms([Named("ip[0]", values)], [], "t", "s")
    assert "67% are 0, 1 are not finite" in figure.axes[0].get_title(loc="left")


def _texts(figure: object) -> str:
    return " ".join(text.get_text() for text in figure.texts)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("curves", "caffelite plot curves: no log is given"),
        ("filters p.net", "caffelite plot filters: 1 file"),
        ("filters p.net w.caffemodel --layer con", 'no layer "con" with filters'),
        ("activations p.net w.caffemodel --blob con", 'no blob "con"'),
        ("histograms p.net w.caffemodel -o x.jpg", '"x.jpg" does not end in .png'),
    ],
)
def test_mistakes(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", *words.split()]) == 1
    assert capsys.readouterr().err.startswith(said)
