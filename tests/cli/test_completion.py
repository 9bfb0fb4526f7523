"""caffelite completion: the scripts know what the commands declare."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from caffelite.cli import main
from caffelite.cli.registry import commands
from caffelite.cli.shells import SCRIPTS, bash, known_options


def test_every_command_and_option_is_known() -> None:
    known = {one.name: one for one in known_options()}
    assert list(known) == list(commands())
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
