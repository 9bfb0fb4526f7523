"""The C library's heap, told to keep what a net in training gives back and takes again each pass.

glibc gives large pieces of memory back to the system and takes them again page by page: with
gradients that come and go that is some percent of a training step. Other C libraries are left as
they are.
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # the numbers of mallopt in <malloc.h>
NEVER = (1 << 31) - 1


def keep_heap() -> bool:
    """Keep freed memory for the next pass; for a process that trains and does little else. False
    where the C library cannot be told."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(set_option(MMAP_MAX, 0)) and bool(set_option(TRIM_THRESHOLD, NEVER))
