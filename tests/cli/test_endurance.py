"""A run outlives its screen and its log."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from caffelite.cli import main
from caffelite.cli.enduring import Enduring
from caffelite.cli.logfile import LogMonitor
from caffelite.solver import get_solver

ROOT = Path(__file__).parents[2]
SOLVER = """
net: "spiral.net" base_lr: 0.1 lr_policy: "fixed" random_seed: 1 max_iter: 40
display: 1 test_interval: 20 test_iter: 3 snapshot_prefix: "run"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "nets" / "spiral.net", "spiral.net")
    Path("s.solver").write_text(SOLVER)
    return tmp_path


def start(**options: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "caffelite", "train", "s.solver"]
    return subprocess.Popen(command, env=environment, text=True, stderr=subprocess.PIPE, **options)


def test_a_closed_pipe_costs_the_display() -> None:
    run = start(stdout=subprocess.PIPE)
    assert run.stdout is not None
    run.stdout.close()
    assert run.stderr is not None
    error = run.stderr.read()
    assert run.wait(60) == 0
    assert "the run goes on" in error and "Traceback" not in error
    assert Path("run_iter_40.solverstate").is_file()


@pytest.mark.skipif(os.name != "posix", reason="closes a file descriptor in a child process")
def test_a_closed_standard_output_costs_nothing() -> None:
    run = start(preexec_fn=lambda: os.close(1))
    _, error = run.communicate(timeout=60)
    assert run.returncode == 0, error
    assert "Traceback" not in error and Path("run_iter_40.solverstate").is_file()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_disk_under_the_log_costs_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "s.solver", "--log", "/dev/full"]) == 0
    error = capsys.readouterr().err
    assert error.count("No space left on device; the run goes on") == 1
    assert Path("run_iter_40.solverstate").is_file()


def test_a_full_disk_leaves_no_half_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = LogMonitor("run.jsonl", 40)
    log.start(get_solver("s.solver"))
    file = log._file
    assert file is not None

    class Full:
        def __getattr__(self, name: str) -> Any:
            return getattr(file, name)

        def write(self, data: bytes) -> int:
            return file.write(data[:7])

    log.on_snapshot("a", "b")
    log._file = Full()  # type: ignore[assignment]
    log.on_snapshot("c", "d")
    log._file = file
    log.on_snapshot("e", "f")
    log.__exit__()
    lines = [json.loads(line) for line in Path("run.jsonl").read_text().splitlines()]
    assert [line.get("model") for line in lines] == [None, "a", "e"]
    assert "the log cannot be written" in capsys.readouterr().err


def test_half_a_line_of_a_killed_run_is_cut() -> None:
    Path("run.jsonl").write_text('{"event": "start"}\n{"event": "tr')
    log = LogMonitor("run.jsonl", 40, resumed=True)
    log.start(get_solver("s.solver"))
    log.__exit__()
    lines = [json.loads(line) for line in Path("run.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", "start"]


def test_a_stream_that_fails_is_silent_from_then_on(capsys: pytest.CaptureFixture[str]) -> None:
    written = []

    class Gone:
        def write(self, text: str) -> int:
            written.append(text)
            raise OSError(5, "Input/output error")

        def fileno(self) -> int:
            raise OSError

    stream = Enduring(Gone())  # type: ignore[arg-type]
    assert stream.write("abc") == 3 and stream.write("de") == 2
    stream.flush()
    assert written == ["abc"] and stream.failed
    assert capsys.readouterr().err.count("the run goes on") == 1


def test_two_runs_on_one_prefix(capsys: pytest.CaptureFixture[str]) -> None:
    fcntl = pytest.importorskip("fcntl")
    with open(".run.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert main(["train", "s.solver"]) == 1
    assert "another run" in capsys.readouterr().err
    assert not list(Path().glob("run*"))
