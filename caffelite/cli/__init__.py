"""The command line.

Every module of this folder that has `add_arguments` and `run` is a command, named after its file:
adding a command is adding a file. Its docstring is its help: a line that says what it does,
examples, then the rest. `GROUP` says under which title of the overview it stands. To list commands
their files are read, not imported; a command's imports are its own, and those that take time belong
into its `run`, or into a module of its name in `work/`, so that help is there at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from warnings import filterwarnings

from caffelite import __version__
from caffelite.cli.help import CommandParser, UsageError, overview, unknown_command
from caffelite.cli.registry import commands
from caffelite.errors import CaffeliteError, Problem, did_you_mean

CAFFE_ONLY = {"device_query": "there are no GPUs to list: set solver_mode in the solver instead"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status: 0 when all is well, 1 after a mistake in a file, 2 after
    one in the command line (both explained on stderr), 130 after Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    _survive_any_output()
    try:
        status = _dispatch(words)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except CaffeliteError as error:
        _complain(error)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        _say("stopped")
        return 130
    except BrokenPipeError:
        # the reader of our output has gone (`| head`): no more to say, and no traceback at exit
        sys.stderr.close()
        sys.stdout = None
        return 141
    except MemoryError as error:
        text = f": {error}" if str(error) else ""
        hint = "a smaller batch_size needs less; `caffelite summary NET` says how much a net takes"
        _complain(CaffeliteError(Problem(f"there is not enough memory{text}", hint=hint)))
        return 1
    except OSError as error:
        _complain(CaffeliteError(_of_the_system(error)))
        return 1
    except Exception as error:
        problem = _of_a_plugin(error)
        if problem is None:
            raise
        _complain(CaffeliteError(problem))
        return 1


def _of_the_system(error: OSError) -> Problem:
    """What is said of a file or folder that the system refuses."""
    name = f"{error.filename}: " if error.filename else ""
    if not isinstance(error, FileNotFoundError) or not isinstance(error.filename, str):
        return Problem(f"{name}{error.strerror or error}")
    folder, file = os.path.split(error.filename)
    try:
        hint = did_you_mean(file, os.listdir(folder or "."))
    except OSError:
        hint = f"there is no folder {folder} either"
    return Problem(f"{name}no such file", hint=hint)


def _of_a_plugin(error: Exception) -> Problem | None:
    """What is said of an error that a user's own layer has raised."""
    if "caffelite.cli.plugins" not in sys.modules:
        return None
    from caffelite.cli.plugins import problem_of

    return problem_of(error)


def _dispatch(words: list[str]) -> int:
    if words and words[0] == "help":
        words = [*words[1:2], "--help"]
    if not words or words[0] in ("--help", "-help", "-h"):
        print(overview())
        return 0
    if words[0] in ("--version", "-version"):
        print(f"caffelite {__version__}")
        return 0
    command = commands().get(words[0])
    if command is None:
        _say(CAFFE_ONLY.get(words[0]) or unknown_command(words))
        return 2
    module = command.load()
    parser = CommandParser(command, module.__doc__ or "")
    module.add_arguments(parser)
    parser.passes_on = getattr(module, "PASSES_ON", False)
    try:
        args = parser.parse_args(words[1:])
    except SystemExit as stop:
        return int(stop.code or 0)
    args.command = command.name
    if not parser.passes_on:  # commands say themselves what is not finite
        encountered = "(overflow|invalid value|divide by zero) encountered"
        filterwarnings("ignore", encountered, RuntimeWarning)
    import logging

    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    return int(module.run(args))


def _complain(error: CaffeliteError) -> None:
    from caffelite.cli.console import complain

    complain(error)


def _say(text: str) -> None:
    if sys.stderr is not None:
        print(text, file=sys.stderr)


def _survive_any_output() -> None:
    """Outputs that were closed take everything and show nothing; a letter that the terminal's
    encoding lacks is shown escaped."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        encoding = (getattr(stream, "encoding", "") or "utf-8").lower().replace("-", "")
        if encoding != "utf8" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
