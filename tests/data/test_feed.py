"""Order and Prefetch, apart from any file."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from caffelite.data.feed import Order
from caffelite.data.prefetch import Prefetch


def order(counts: Sequence[int], shuffle: bool = True, seed: int = 0) -> Order:
    return Order(counts, shuffle, np.random.default_rng(seed))


def test_without_shuffle_samples_follow_one_another() -> None:
    o = order([2, 3], shuffle=False)
    assert [o.take(3).tolist() for _ in range(3)] == [[0, 1, 2], [3, 4, 0], [1, 2, 3]]


def test_each_epoch_is_a_new_order_of_all_samples() -> None:
    o = order([50])
    epochs = [o.take(50).tolist() for _ in range(3)]
    assert all(sorted(e) == list(range(50)) for e in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_groups_stay_together_and_change_places() -> None:
    o = order([3, 4, 5])
    group = np.repeat([0, 1, 2], [3, 4, 5])
    orders = set()
    for _ in range(40):
        rows = o.take(12)
        assert sorted(rows) == list(range(12))
        seen = group[rows]
        assert np.count_nonzero(np.diff(seen)) == 2
        orders.add(tuple(dict.fromkeys(seen.tolist())))
    assert len(orders) == 6


@pytest.mark.parametrize("used", [0, 4, 10, 13])
def test_an_order_goes_on_where_its_state_says(used: int) -> None:
    o, other = order([6, 4]), order([6, 4], seed=9)
    o.take(used)
    other.restore(o.state())
    assert o.take(35).tolist() == other.take(35).tolist()


class Counter:
    """A feed that counts, and fails at `bad`."""

    def __init__(self, bad: int = -1) -> None:
        self.at, self.bad = 0, bad

    def fill(self, out: Sequence[np.ndarray]) -> None:
        if self.at == self.bad:
            raise KeyError("the reason")
        out[0][...] = self.at
        self.at += 1

    def state(self) -> dict[str, Any]:
        return {"at": self.at}

    def restore(self, state: dict[str, Any]) -> None:
        self.at = state["at"]


def take(feed: Prefetch) -> int:
    out = np.zeros(2)
    feed.fill([out])
    assert out[0] == out[1]
    return int(out[0])


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_batches_come_in_order_and_no_more_than_depth_ahead() -> None:
    counter = Counter()
    feed = Prefetch(counter, 3)
    assert counter.at == 0, "nothing happens before the first batch is wanted"
    for n in range(10):
        assert take(feed) == n
        wait_for(lambda n=n: counter.at == n + 4)
    feed.close()


def test_the_state_is_that_of_the_batches_used() -> None:
    feed = Prefetch(Counter(), 4)
    assert feed.state() == {"at": 0}
    [take(feed) for _ in range(3)]
    assert feed.state() == {"at": 3}
    feed.restore({"at": 20})
    assert [take(feed) for _ in range(3)] == [20, 21, 22]
    feed.restore({"at": 1})
    assert take(feed) == 1
    feed.close()


def test_an_error_in_the_thread_is_raised_as_it_is_where_its_batch_was_to_come() -> None:
    feed = Prefetch(Counter(bad=2), 4)
    assert [take(feed), take(feed)] == [0, 1]
    for _ in range(2):
        with pytest.raises(KeyError, match="the reason"):
            take(feed)


def test_the_thread_ends_with_its_feed() -> None:
    before = set(threading.enumerate())
    feed = Prefetch(Counter(), 2)
    take(feed)
    (thread,) = set(threading.enumerate()) - before
    assert thread.daemon
    feed.close()
    assert not thread.is_alive()
    assert take(feed) == 1, "and begins again when it is wanted"
    (thread,) = set(threading.enumerate()) - before
    del feed
    gc.collect()
    wait_for(lambda: not thread.is_alive())
