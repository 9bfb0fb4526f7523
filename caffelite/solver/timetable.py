"""When a run tests, shows its loss and takes snapshots, by the number of the iteration."""

from __future__ import annotations

from caffelite.schema.solver import SolverParameter


class Timetable:
    """The intervals of a solver file, and of the listener, which may want to hear of iterations
    too; 0 is never."""

    def __init__(self, param: SolverParameter, listens: int = 0) -> None:
        self._test, self._first = param.test_interval, param.test_initialization
        self._display, self._snapshot = param.display, param.snapshot
        self._listens = listens

    def tests(self, iteration: int) -> bool:
        """Test before this iteration?"""
        every = self._test
        return every != 0 and iteration % every == 0 and (iteration > 0 or self._first)

    def displays(self, iteration: int) -> bool:
        """Show the loss of this iteration?"""
        return self._display != 0 and iteration % self._display == 0

    def listens(self, iteration: int) -> bool:
        """Does the listener want to hear of this iteration?"""
        return self._listens != 0 and iteration % self._listens == 0

    def saves(self, iteration: int) -> bool:
        """Take a snapshot now that so many iterations are done?"""
        return self._snapshot != 0 and iteration % self._snapshot == 0
