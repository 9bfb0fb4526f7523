"""Where to run, in pycaffe's words. There is one answer here, the CPU."""

from __future__ import annotations

import logging

log = logging.getLogger("caffelite")


def set_mode_cpu() -> None:
    """What is so anyway."""


def set_mode_gpu() -> None:
    """Accepted, so that scripts run unchanged; says that the CPU is used."""
    log.warning("set_mode_gpu() is accepted; this runs on the CPU")


def set_device(device: int) -> None:
    """Accepted, of no effect."""
