"""Run a Python script that was written for Caffe, unchanged: `import caffe` means caffelite.

  caffelite run classify.py deploy.prototxt net.caffemodel cat.jpg
  caffelite run --opencv detect.py

What follows SCRIPT is the script's own. Layers of the type Python in its nets run. A tree of
Caffe's sources on the path does not get in the way. What fails for other reasons than Caffe
(Python 2, names that NumPy has dropped, an old caffe_pb2.py) is named, with what to write instead;
a solver's log goes to standard error in Caffe's form.
"""

from __future__ import annotations

import argparse
import sys
import traceback

from caffelite.errors import CaffeliteError, Problem

GROUP = "run"
ORDER = 3
PASSES_ON = True
"""What follows the first argument is not ours."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `caffelite run`."""
    parser.add_argument("script", metavar="SCRIPT", help="a Python file")
    parser.add_argument("args", metavar="ARG", nargs="*", help="its arguments")
    parser.add_argument(
        "--opencv",
        action="store_true",
        help="put readNetFromCaffe back into cv2.dnn, where OpenCV no longer has it",
    )


def run(args: argparse.Namespace) -> int:
    """Run the script; its exit status."""
    from caffelite.pycaffe.script import run_script, user_frames

    if args.script.endswith((".net", ".solver", ".prototxt")):
        raise CaffeliteError(
            Problem(f"{args.script}: this is a net or a solver", expected="a Python script")
        )
    if args.opencv:
        mend_opencv()
    try:
        run_script(args.script, args.args)
    except CaffeliteError as error:
        frames = user_frames(error.__traceback__)
        if frames and not error.problems[0].span:
            print(f"{frames[-1].filename}, line {frames[-1].lineno}:", file=sys.stderr)
        raise
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    except Exception as error:
        # the script's own mistake: Python's own words, without our part of the way
        print("Traceback (most recent call last):", file=sys.stderr)
        print(
            "".join(traceback.format_list(user_frames(error.__traceback__))),
            end="",
            file=sys.stderr,
        )
        print("".join(traceback.format_exception_only(error)), end="", file=sys.stderr)
        return 1
    return 0


def mend_opencv() -> None:
    """Let cv2.dnn read Caffe's nets, where it does not."""
    try:
        import cv2
    except ImportError:
        raise CaffeliteError(
            Problem(
                "--opencv: OpenCV is not installed",
                hint='pip install opencv-python-headless; or, for nets alone, "from caffelite '
                'import dnn" in place of cv2.dnn',
            )
        ) from None
    from caffelite.dnn import mending

    mending.mend(cv2)
