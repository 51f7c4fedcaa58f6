"""Work in threads is the same work."""

import contextlib
import threading
from collections.abc import Callable

import pytest

from charlm.inspection.parallel import side_by_side
from charlm.inspection.telling import TellMore, tell_nobody


def work(name: str, steps: int) -> Callable[[TellMore], str]:
    def do(tell: TellMore) -> str:
        for step in range(steps):
            tell(step + 1)
        return name

    return do


WORKS = [("a", 3), ("b", 0), ("c", 50), ("d", 1)]


@pytest.mark.parametrize("workers", [1, 2, 3, 9])
@pytest.mark.parametrize("number", range(len(WORKS) + 1))
def test_results_are_in_order_and_all_progress_is_told(workers, number):
    """However many threads there are, results come in the order of the works, and everything that these tell is told on."""
    told: list[int] = []
    results = side_by_side([work(*each) for each in WORKS[:number]], workers, told.append)
    assert results == [name for name, _ in WORKS[:number]]
    assert sorted(told) == sorted(step + 1 for _, steps in WORKS[:number] for step in range(steps))


@pytest.mark.parametrize("workers", [1, 3])
def test_only_the_calling_thread_tells(workers):
    """A screen hears of all works from one thread, that which asked for them."""
    tellers: set[int] = set()
    works = [work(name, 50) for name in "abc"]
    side_by_side(works, workers, lambda _more: tellers.add(threading.get_ident()))
    assert tellers == {threading.get_ident()}


@pytest.mark.parametrize(("workers", "number"), [(1, 3), (0, 2), (2, 1), (9, 1)])
def test_without_two_workers_and_two_works_there_is_no_other_thread(workers, number):
    """Such work is done by the calling thread itself."""
    doers = side_by_side([lambda _tell: threading.get_ident()] * number, workers, tell_nobody)
    assert doers == [threading.get_ident()] * number


def test_two_works_are_done_at_once():
    """Works that wait for each other come to an end when there are threads for both."""
    meeting = threading.Barrier(2)

    def waiting(_tell: TellMore) -> int:
        return meeting.wait(timeout=60)

    assert sorted(side_by_side([waiting, waiting], 2, tell_nobody)) == [0, 1]


def test_no_more_are_done_at_once_than_there_are_workers():
    """Four works that wait for each other do not meet when three may be done at a time."""
    meeting, met = threading.Barrier(4), []

    def waiting(_tell: TellMore) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            met.append(meeting.wait(timeout=0.3))

    side_by_side([waiting] * 4, 3, tell_nobody)
    assert met == []


def endless(tell: TellMore) -> None:
    while True:
        tell(1)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_an_error_in_one_work_is_the_error_of_all(workers):
    """What a work raises is raised, the others stop at their next step, and no thread outlives it."""

    def failing(tell: TellMore) -> str:
        tell(1)
        raise ZeroDivisionError("mine")

    before = threading.active_count()
    others = [work("b", 2), *[endless] * (workers > 1)]
    with pytest.raises(ZeroDivisionError, match="mine"):
        side_by_side([work("a", 2), failing, *others], workers, tell_nobody)
    assert threading.active_count() == before


@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("workers", [1, 2])
def test_work_that_is_left_ends(workers, fault):
    """Interrupted, or left by a screen that fails, endless works stop at their next step, and their threads are gone."""
    before = threading.active_count()

    def leave(_more: int) -> None:
        raise fault

    with pytest.raises(fault):
        side_by_side([endless] * 3, workers, leave)
    assert threading.active_count() == before
