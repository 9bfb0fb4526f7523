"""The command line itself: how commands are found, listed and mistaken, and what that costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from caffelite.cli import main
from caffelite.cli.help import OTHER_WORDS, overview
from caffelite.cli.registry import GROUPS, commands

ROOT = Path(__file__).parents[2]


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        check=True,
    )
    return done.stdout


class TestOverview:
    def test_every_command_is_listed_with_a_summary(self) -> None:
        text = overview()
        assert {"train", "test", "check", "layers", "data"} <= set(commands())
        for command in commands().values():
            assert f"\n  {command.name} " in text
            assert 10 <= len(command.summary) <= 61, command
            assert command.group in GROUPS and command.group != "more", command

    @pytest.mark.parametrize("width", [40, 60, 80, 200])
    def test_it_fits_the_terminal(self, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", str(width))
        assert max(map(len, overview().splitlines())) <= width
        for command in commands():
            assert f"\n  {command}" in overview()

    @pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["-help"], ["help"]])
    def test_how_it_is_asked_for(
        self, words: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(words) == 0
        assert capsys.readouterr().out == overview() + "\n"

    def test_it_begins_with_examples_that_are_commands(self) -> None:
        examples = [x for x in overview().splitlines() if x.startswith("  caffelite ")]
        assert len(examples) == 5
        assert {x.split()[1] for x in examples} <= set(commands())

    def test_no_module_of_a_command_is_imported_and_nothing_heavy(self) -> None:
        code = (
            "import sys; from caffelite.cli import main; main(['--help'])\n"
            "print(*(m for m in sys.modules if m.split('.')[0] in ('numpy', 'lark', 'rich',"
            " 'matplotlib', 'google', 'logging') or m in ('caffelite.cli.train',"
            " 'caffelite.layers')), file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert done.stdout.startswith("usage:") and done.stderr == "\n"

    def test_it_takes_less_than_a_fifth_of_a_second(self) -> None:
        code = (
            "import os; from caffelite.cli import main; main(['--help'])\n"
            "print(sum(os.times()[:2]))"
        )
        assert min(float(python(code).split()[-1]) for _ in range(3)) < 0.2


class TestHelp:
    @pytest.mark.parametrize("name", commands())
    def test_a_page_says_what_then_shows_examples_then_arguments(
        self, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        assert main([name, "--help"]) == 0
        page = capsys.readouterr().out
        assert page[0].isupper()
        assert 0 < page.index(f"\n  caffelite {name}") < page.index(f"usage: caffelite {name}")
        assert max(map(len, page.splitlines())) <= 80

    def test_help_for_a_command_may_come_first(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["help", "check"]) == 0
        assert capsys.readouterr().out.startswith("Find every mistake")

    def test_prose_is_filled_and_examples_are_kept(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("COLUMNS", "40")
        assert main(["check", "--help"]) == 0
        page = capsys.readouterr().out
        assert page.splitlines()[0] == "Find every mistake in net and solver"
        assert "\n  caffelite check nets/spiral.net solvers/spiral.solver\n" in page


NO_COMMAND = "`caffelite --help` lists the commands"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], f'caffelite: there is no command "trian": did you mean "train"?\n{NO_COMMAND}'),
        (["Train"], f'caffelite: there is no command "Train": did you mean "train"?\n{NO_COMMAND}'),
        (["compute_mean"], 'caffelite: there is no command "compute_mean": did you mean '
         f'"compute-mean"?\n{NO_COMMAND}'),
        (["qqq"], f'caffelite: there is no command "qqq"\n{NO_COMMAND}'),
        (["fit"], 'caffelite: there is no command "fit": here it is `caffelite train`'),
        (["device_query"], "there are no GPUs to list: set solver_mode in the solver instead"),
        (["s.solver"], "caffelite: s.solver is a file, not a command: `caffelite train s.solver`?\n"
         + NO_COMMAND),
        (["my.net"], "caffelite: my.net is a file, not a command: `caffelite check my.net`?\n"
         + NO_COMMAND),
        (["--solver", "x"], "caffelite: the command comes first: caffelite COMMAND --solver ...\n"
         + NO_COMMAND),
        (["train"], "caffelite train: SOLVER is missing\n"
         "  `caffelite train --help` shows how it is used"),
        (["train", "a", "--solver", "b"], "caffelite train: SOLVER is given twice, b and a\n"
         "  expected one: with --solver or without"),
        (["train", "a", "--lr", "0.1"], "caffelite train: there is no option --lr: the rate is "
         "base_lr in the solver file\n`caffelite train --help` shows how it is used"),
        (["train", "--slover", "a"], "caffelite train: there is no option --slover: did you mean "
         "--solver?\n`caffelite train --help` shows how it is used"),
        (["train", "-slover=a"], "caffelite train: there is no option --slover: did you mean "
         "--solver?\n`caffelite train --help` shows how it is used"),
        (["train", "--solver"], "caffelite train: argument --solver: a value is missing\n"
         "`caffelite train --help` shows how it is used"),
        (["train", "a", "b"], "caffelite train: there is no room for a further argument: b\n"
         "`caffelite train --help` shows how it is used"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_status_2_and_explained(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.err == said + "\n" and captured.out == ""


def test_words_of_other_tools_lead_to_commands() -> None:
    assert set(OTHER_WORDS.values()) <= set(commands())
    assert not set(OTHER_WORDS) & set(commands())


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "stopped\n"),
        (
            MemoryError("Unable to allocate 7 TiB"),
            1,
            "there is not enough memory: Unable to allocate 7 TiB\n  a smaller batch_size needs "
            "less; `caffelite summary NET` says how much a net takes\n",
        ),
        (OSError(28, "No space left on device"), 1, "No space left on device\n"),
        (PermissionError(13, "Permission denied", "x.net"), 1, "x.net: Permission denied\n"),
    ],
)
def test_how_a_command_may_end(
    error: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from caffelite.cli import layers

    def failing(args: object) -> int:
        raise error

    monkeypatch.setattr(layers, "run", failing)
    assert main(["layers"]) == status
    assert capsys.readouterr().err == said


def test_a_terminal_of_another_encoding_gets_escapes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "caffelite", "layers", "ELU"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0 and b"\\u" in done.stdout and b"Traceback" not in done.stderr


def test_a_closed_output_is_no_traceback() -> None:
    for redirection in (">&-", "2>&-", ">/dev/full"):
        done = subprocess.run(
            f"{sys.executable} -m caffelite layers {redirection}",
            shell=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert "Traceback" not in done.stderr and "Exception" not in done.stderr, redirection
        assert done.returncode == (1 if "full" in redirection else 0)
