"""Are a net's gradients right? See `caffelite.testing.gradients`."""

from caffelite.testing.gradients import TOLERANCE, Result, Slope, check, compare

__all__ = ["TOLERANCE", "Result", "Slope", "check", "compare"]
