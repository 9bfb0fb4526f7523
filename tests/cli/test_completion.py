"""caffelite completion: the scripts know what the commands declare."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from caffelite.cli import main
from caffelite.cli.registry import commands
from caffelite.cli.shells import SCRIPTS, bash, known_options


def test_every_command_and_option_is_known() -> None:
    known = {one.name: one for one in known_options()}
    assert list(known) == [*commands(), "help"]
    flags = {flag for option in known["train"].options for flag in option.flags}
    assert {"--solver", "--snapshot", "-q", "--quiet", "--dry-run"} <= flags
    assert known["completion"].words == ["bash", "zsh", "fish"]
    phase = next(o for o in known["summary"].options if "--phase" in o.flags)
    assert list(phase.choices) == ["TRAIN", "TEST"] and phase.takes


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_script_names_all_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for name in commands():
        assert name in script
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not here")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("tr", "train"),
        ("train --sn", "--snapshot"),
        ("completion ''", "bash zsh fish"),
        ("summary --phase ''", "TRAIN TEST"),
        ("check a", "a.net"),
        ("layers InnerP", "InnerProduct"),
        ("new spi", "spiral"),
        ("help tra", "train"),
        ("plot cur", "curves"),
        ("plot curves a", "a.net"),
    ],
)
def test_what_bash_offers(words: str, offered: str, tmp_path: object) -> None:
    ask = (
        f"COMP_WORDS=(caffelite {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _caffelite; "
        'echo "${COMPREPLY[*]}"'
    )
    script = f"cd {tmp_path}; touch a.net b.net\n{bash(known_options())}\n{ask}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"{offered}\n", "")


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not here")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("tr", "train\tTrain a net as a solver file says"),
        ("train --sn", "--snapshot\t.solverstate to go on from"),
        ("completion z", "zsh"),
        ("summary --phase TR", "TRAIN\t"),
        ("check a", "a.net"),
        ("layers InnerP", "InnerProduct"),
        ("plot cur", "curves"),
        ("plot curves a", "a.net"),
    ],
)
def test_what_fish_offers(words: str, offered: str, tmp_path: Path) -> None:
    (tmp_path / "a.net").touch()
    ask = f"cd {tmp_path}\n{SCRIPTS['fish'](known_options())}\ncomplete -C 'caffelite {words}'"
    done = subprocess.run(["fish", "--no-config", "-c", ask], capture_output=True, text=True)
    assert done.stdout.startswith(offered) and done.stdout.count("\n") == 1
    assert done.stderr == ""


ZSH = """
_arguments() {{ print -rl -- "$@" }}
_describe() {{ print -rl -- $1 ${{(P)2}} }}
compdef() {{ print -r -- "$@" }}
{script}
words=(caffelite {words}) CURRENT={current}
_caffelite
"""


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not here")
@pytest.mark.parametrize(
    ("words", "current", "offered"),
    [
        ("tr", 2, "train:Train a net as a solver file says"),
        ("train --sn", 3, "--snapshot[.solverstate to go on from]:value:_files"),
        ("completion z", 3, "1:word:(bash zsh fish)"),
        ("summary --phase TR", 4, "--phase[the net's phase]:value:(TRAIN TEST)"),
        ("check a", 3, "*:file:_files"),
        ("plot curves a", 4, "*:file:_files"),
    ],
)
def test_what_zsh_offers(words: str, current: int, offered: str) -> None:
    ask = ZSH.format(script=SCRIPTS["zsh"](known_options()), words=words, current=current)
    done = subprocess.run(["zsh", "-f", "-c", ask], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.startswith("_caffelite caffelite\n") and offered in done.stdout.split("\n")
