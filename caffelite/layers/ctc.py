"""Connectionist temporal classification: the cost of sequences of labels, and its gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from caffelite.blob import Array


def best_path(classes: Sequence[int], blank: int, merge: bool = True) -> list[int]:
    """The labels that a class at each time stands for: repeats count once (with `merge`), unless a
    blank is between them, and blanks go."""
    found, before = [], -1
    for now in classes:
        if now != blank and not (merge and now == before):
            found.append(now)
        before = now
    return found


class Lattice:
    """All ways in which sequences of labels can be spread over the times of a batch.

    Between the labels, before and behind them a blank may stand; a label may last (`merge`), and
    two that are alike need a blank between them then. `scores` are (T, N, C); sequence n takes
    the times 0 … lengths[n] - 1, and one of no times costs nothing."""

    def __init__(
        self,
        scores: Array,
        labels: Sequence[Sequence[int]],
        lengths: Sequence[int],
        blank: int,
        merge: bool = True,
    ) -> None:
        count = scores.shape[1]
        self._ends = np.array([2 * len(row) for row in labels], np.intp)
        states = int(self._ends.max(initial=0)) + 1
        self._labels = np.full((count, states), blank, np.intp)
        for row, line in zip(labels, self._labels):
            line[1 : 2 * len(row) : 2] = row
        self._stays = (self._labels == blank) | merge
        self._jumps = self._labels != blank
        self._jumps[:, :2] = False
        if merge:
            self._jumps[:, 2:] &= self._labels[:, 2:] != self._labels[:, :-2]
        self._lengths, self._count = np.array(lengths, np.intp), count
        shifted = scores - scores.max(2, keepdims=True)
        self._log_p = shifted - np.log(np.exp(shifted).sum(2, keepdims=True))
        which = np.arange(count)[:, None]
        self._at = self._log_p[:, which, self._labels]  # (T, N, states)

    def costs(self) -> Array:
        """−ln of each sequence's probability, (N,); infinite where there is no way."""
        self._forward = np.full_like(self._at, -np.inf)
        costs = np.zeros(self._count, self._at.dtype)
        if len(self._at):
            self._forward[0, :, :2] = self._at[0, :, :2]
            for t in range(1, len(self._at)):
                self._forward[t] = self._stepped(self._forward[t - 1], 1) + self._at[t]
            which = np.flatnonzero(self._lengths)
            last = self._forward[self._lengths[which] - 1, which]
            rows, ends = np.arange(which.size), self._ends[which]
            before = np.where(ends > 0, last[rows, ends - 1], -np.inf)
            costs[which] = -np.logaddexp(last[rows, ends], before)
        self._costs = costs
        return costs.copy()

    def gradients(self) -> Array:
        """∂cost/∂score, (T, N, C), after `costs`: the softmax less the share of all ways that take
        the class at that time; 0 for a sequence that costs nothing or has no way."""
        result: Array = np.zeros_like(self._log_p)
        live = np.isfinite(self._costs) & (self._lengths > 0)
        backward = np.full(self._at.shape[1:], -np.inf, self._at.dtype)
        which = np.arange(self._count)
        for t in range(len(self._at) - 1, -1, -1):
            if t + 1 < len(self._at):
                backward = self._stepped(backward + self._at[t + 1], -1)
            ending = which[self._lengths == t + 1]
            backward[ending] = -np.inf
            backward[ending, self._ends[ending]] = 0
            before = ending[self._ends[ending] > 0]
            backward[before, self._ends[before] - 1] = 0
            inside = live & (t < self._lengths)
            share = np.exp((self._forward[t] + backward)[inside] + self._costs[inside, None])
            rows = which[inside]
            result[t, rows] = np.exp(self._log_p[t, rows])
            for state in range(share.shape[1]):  # one place of each row: no index comes up twice
                result[t, rows, self._labels[rows, state]] -= share[:, state]
        return result

    def _stepped(self, values: Array, way: int) -> Array:
        """ln Σ of what reaches each state from itself, its neighbour and the one behind that."""
        result: Array = np.where(self._stays, values, -np.inf)
        if way > 0:
            near, far, jumping = values[:, :-1], values[:, :-2], self._jumps[:, 2:]
            to_near, to_far = result[:, 1:], result[:, 2:]
        else:
            near, far, jumping = values[:, 1:], values[:, 2:], self._jumps[:, 2:]
            to_near, to_far = result[:, :-1], result[:, :-2]
        np.logaddexp(to_near, near, to_near)
        np.logaddexp(to_far, np.where(jumping, far, -np.inf), to_far)
        return result
