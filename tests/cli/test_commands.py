"""The commands as a person or a script uses them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from caffelite import SGDSolver, __version__
from caffelite.cli import main
from caffelite.cli.work.train import Interrupts
from caffelite.solver import Monitor

ROOT = Path(__file__).parents[2]
SOLVER = """
net: "spiral.net"
base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 max_iter: 40 display: 20 random_seed: 1
test_iter: 2 test_interval: 40 snapshot: 20 snapshot_prefix: "run"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spiral.net").write_text((ROOT / "nets" / "spiral.net").read_text())
    (tmp_path / "s.solver").write_text(SOLVER)
    return tmp_path


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "caffelite", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


class TestTrain:
    def test_a_pipe_gets_plain_lines_as_caffe_writes_them(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["train", "--solver", "s.solver"]) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out and "\r" not in out
        lines = out.splitlines()
        assert (
            lines[0]
            == "SGD on spiral: 5 layers, 603 parameters, seed 1, engine numpy (a small net)"
        )
        assert "Iteration 0, Testing net (#0)" in lines
        for pattern in (
            r"Iteration 20, loss = [\d.]+, lr = 0.1",
            r"    Train net output #0: loss = [\d.]+ \(\* 1 = [\d.]+ loss\)",
            r"    Test net output #1: accuracy = [\d.]+",
            r"40 iterations in [\d.]+ s \([\d,]+ a second\)",
        ):
            assert any(re.fullmatch(pattern, line) for line in lines), pattern
        assert "Snapshot: run_iter_40.caffemodel, run_iter_40.solverstate" in lines

    def test_the_log_holds_what_was_seen(self) -> None:
        assert main(["train", "--solver", "s.solver"]) == 0
        records = [json.loads(line) for line in Path("run.jsonl").read_text().splitlines()]
        assert records[0]["event"] == "start" and records[0]["seed"] == 1
        train = [r for r in records if r["event"] == "train"]
        assert {0, 20} <= {r["iteration"] for r in train}
        assert [r["iteration"] for r in records if r["event"] == "test"] == [0, 40]

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--solver", "s.solver"],
            ["-solver", "s.solver"],
            ["--solver=s.solver"],
            ["-solver=s.solver"],
        ],
    )
    def test_caffes_spellings(self, arguments: list[str]) -> None:
        assert main(["train", *arguments]) == 0
        assert Path("run_iter_40.caffemodel").is_file()

    @pytest.mark.parametrize("how", [["-gpu", "0"], ["--device", "cuda"], []])
    def test_without_a_gpu_one_line_says_so(
        self, how: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        Path("s.solver").write_text(SOLVER + ("" if how else "solver_mode: GPU\n"))
        assert main(["train", "-solver", "s.solver", *how]) == 0
        said = [line for line in caplog.messages if "instead" in line or "is used" in line]
        assert len(said) == 1, caplog.messages

    def test_the_first_line_says_what_computes(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["train", "-solver", "s.solver", "--engine", "numpy", "--threads", "1"]) == 0
        assert "engine numpy (as asked for)" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("how", "message"),
        [
            (["--engine", "nunpy"], 'did you mean "numpy"?'),
            (["--threads", "0"], "number of threads is 0"),
            (["-gpu", "0,1"], '-gpu "0,1"'),
            (["-gpu", "0", "--device", "cpu"], "--gpu and --device are given together"),
        ],
    )
    def test_where_nothing_can_run(
        self, how: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["train", "-solver", "s.solver", *how]) == 1
        assert message in capsys.readouterr().err

    def test_going_on_ends_where_one_run_does(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["train", "--solver", "s.solver"]) == 0
        whole = Path("run_iter_40.caffemodel").read_bytes()
        assert main(["train", "-solver", "s.solver", "-snapshot", "run_iter_20.solverstate"]) == 0
        assert Path("run_iter_40.caffemodel").read_bytes() == whole
        assert "going on from run_iter_20.solverstate, iteration 20" in capsys.readouterr().out
        assert len(Path("run.jsonl").read_text().splitlines()) > 8  # the log is added to

    def test_starting_from_weights_says_what_was_copied(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["train", "--solver", "s.solver"]) == 0
        assert main(["train", "--solver", "s.solver", "--weights", "run_iter_40.caffemodel"]) == 0
        out = capsys.readouterr().out
        assert "run_iter_40.caffemodel:" in out and "ip1" in out and "copied" in out

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--snapshot", "a", "--weights", "b"], "--snapshot and --weights are given together"),
            (["--snapshot", "none.solverstate"], "none.solverstate: no such file"),
            (["--weights", "none.caffemodel"], "none.caffemodel: no such file"),
            (["--plugin", "none.py"], 'there is no plug-in file "none.py"'),
        ],
    )
    def test_refusals(
        self, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["train", "--solver", "s.solver", *arguments]) == 1
        assert said in capsys.readouterr().err

    def test_a_doubt_is_told_once(
        self, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = Path("spiral.net").read_text()
        text = text.replace('type: "ReLU"', 'type: "ReLU" pooling_param { }')
        Path("spiral.net").write_text(text)
        assert main(["train", "--solver", "s.solver"]) == 0
        error = capsys.readouterr().err
        assert not caplog.messages and error.count("does not use pooling_param") == 1
        assert "\nspiral.net:" in error and "[unused-message]" in error

    def test_a_loss_that_is_not_finite_stops_the_run(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("s.solver").write_text(SOLVER.replace("base_lr: 0.1", "base_lr: 1e30"))
        assert main(["train", "--solver", "s.solver"]) == 1
        error = capsys.readouterr().err
        assert "the loss is" in error and "learning rate (1e+30) is too high" in error


class TestInterrupts:
    """In processes of their own, with a run that would take hours."""

    @pytest.fixture
    def process(self) -> subprocess.Popen[str]:
        text = SOLVER.replace("max_iter: 40", "max_iter: 1000000000")
        text = text.replace("snapshot: 20", "snapshot: 0").replace("display: 20", "display: 2000")
        Path("s.solver").write_text(text)
        running = start("train", "--solver", "s.solver")
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("Iteration 2000, loss"):
                break
        return running

    def test_ctrl_c_snapshots_and_tells_how_to_go_on(
        self, process: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130 and "Traceback" not in err
        assert "stopping after this iteration" in err
        advice = out.splitlines()[-1]
        match = re.fullmatch(
            r"to go on: caffelite "
            r"(train --solver s.solver --snapshot (run_iter_(\d+).solverstate))",
            advice,
        )
        assert match and Path(match[2]).is_file()
        text = Path("s.solver").read_text().replace("1000000000", str(int(match[3]) + 5))
        Path("s.solver").write_text(text)
        assert main(match[1].split()) == 0
        assert "5 iterations in" in capsys.readouterr().out

    @pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no such signal here")
    def test_a_hang_up_signal_snapshots_and_the_run_goes_on(
        self, process: subprocess.Popen[str], folder: Path
    ) -> None:
        process.send_signal(signal.SIGHUP)
        for _ in range(200):
            if list(folder.glob("run_iter_*.solverstate")):
                break
            time.sleep(0.05)
        assert list(folder.glob("run_iter_*.solverstate"))
        assert process.poll() is None
        process.kill()
        process.communicate()


def test_a_second_ctrl_c_stops_at_once() -> None:
    solver = SGDSolver("s.solver", monitor=Monitor())
    with Interrupts(solver, Monitor()):
        signal.raise_signal(signal.SIGINT)
        assert solver.stop_requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_reader_that_leaves_causes_no_traceback() -> None:
    process = start("layers")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait(30) == 141 and error == ""


class TestTest:
    @pytest.fixture
    def weights(self, capsys: pytest.CaptureFixture[str]) -> str:
        assert main(["train", "--solver", "s.solver"]) == 0
        capsys.readouterr()
        return "run_iter_40.caffemodel"

    def test_every_output_is_printed(
        self, weights: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = ["test", "-model", "spiral.net", "-weights", weights, "-iterations", "2"]
        assert main(command) == 0
        lines = capsys.readouterr().out.splitlines()
        assert re.fullmatch(r"Batch 0, loss = [\d.]+", lines[0])
        assert re.fullmatch(r"Batch 1, accuracy = [\d.]+", lines[3])
        assert re.fullmatch(r"Loss: [\d.]+", lines[-3])
        assert re.fullmatch(r"loss = [\d.]+ \(\* 1 = [\d.]+ loss\)", lines[-2])
        assert re.fullmatch(r"accuracy = [\d.]+", lines[-1])
        mean = sum(float(lines[i].split()[-1]) for i in (1, 3)) / 2
        assert float(lines[-1].split()[-1]) == pytest.approx(mean, abs=1e-5)
        assert " of 40 right (" in lines[4]

    def test_without_iterations_all_of_the_data_is_run(
        self, weights: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["test", "--model", "spiral.net", "--weights", weights]) == 0
        assert "Batch 14, loss" in (out := capsys.readouterr().out) and "Batch 15" not in out

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            (["--weights", "none"], "none: no such file"),
            (["--weights", "run_iter_40.solverstate"], "this is a solver's state"),
            (["--weights", "run_iter_40.caffemodel", "--iterations", "0"], "1 or more"),
        ],
    )
    def test_refusals(
        self, weights: str, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["test", "--model", "spiral.net", *more]) == 1
        assert said in capsys.readouterr().err


class TestOthers:
    def test_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        for spelling in ("--version", "-version"):
            assert main([spelling]) == 0
            assert capsys.readouterr().out == f"caffelite {__version__}\n"

    def test_without_a_command_help_is_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([]) == 0
        assert capsys.readouterr().out.startswith("usage: caffelite COMMAND ...\n")

    def test_check_says_what_a_right_file_holds(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["check", "spiral.net", "s.solver"]) == 0
        assert capsys.readouterr().out == (
            "spiral.net:\n"
            "    TRAIN: 5 layers, 603 parameters, outputs loss\n"
            "    TEST: 6 layers, 603 parameters, outputs loss, accuracy\n"
            "s.solver: 1 warning\n"
            "    SGD, 40 iterations, lr 0.1 fixed\n"
            "    TRAIN: 5 layers, 603 parameters, outputs loss\n"
            "    TEST: 6 layers, 603 parameters, outputs loss, accuracy\n"
        )

    def test_one_wrong_file_among_several_is_status_1(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["check", "spiral.net", "none.net"]) == 1
        assert "none.net: no such file" in capsys.readouterr().err

    def test_layers_lists_the_types(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["layers"]) == 0
        out = capsys.readouterr().out
        for name in ("InnerProduct", "SoftmaxWithLoss", "SpiralData"):
            assert re.search(rf"^  {name} +\w", out, re.MULTILINE)

    def test_layers_explains_a_type(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["layers", "InnerProduct"]) == 0
        out = capsys.readouterr().out
        assert "inner_product_param {" in out and "Example" in out
        assert re.search(r"num_output: uint32 .*", out)
        assert re.search(r"bias_term: bool .*\(default true\)", out)

    def test_layers_guesses_a_type(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["layers", "relu"]) == 1
        assert 'did you mean "ReLU"?' in capsys.readouterr().err
