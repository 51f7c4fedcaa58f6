"""Work in threads is the same work."""

import contextlib
import threading
from collections.abc import Generator

import pytest

from charlm.inspection.parallel import side_by_side
from tests.inspection.reference import finished


def work(name: str, steps: int) -> Generator[int, None, str]:
    for step in range(steps):
        yield step + 1
    return name


WORKS = [("a", 3), ("b", 0), ("c", 50), ("d", 1)]


@pytest.mark.parametrize("workers", [1, 2, 3, 9])
@pytest.mark.parametrize("number", range(len(WORKS) + 1))
def test_results_are_in_order_and_all_progress_is_told(workers, number):
    """However many threads there are, results come in the order of the works, and everything that these yield comes through."""
    progress, results = [], None
    works = side_by_side([work(*each) for each in WORKS[:number]], workers)
    while results is None:
        try:
            progress.append(next(works))
        except StopIteration as end:
            results = end.value
    assert results == [name for name, _ in WORKS[:number]]
    assert sorted(progress) == sorted(step + 1 for _, steps in WORKS[:number] for step in range(steps))


def test_two_works_are_done_at_once():
    """Works that wait for each other come to an end when there are threads for both."""
    meeting = threading.Barrier(2)

    def waiting() -> Generator[int, None, int]:
        yield 0
        return meeting.wait(timeout=60)

    assert sorted(finished(side_by_side([waiting(), waiting()], 2))) == [0, 1]


def test_no_more_are_done_at_once_than_there_are_workers():
    """Four works that wait for each other do not meet when three may be done at a time."""
    meeting, met = threading.Barrier(4), []

    def waiting() -> Generator[int, None, None]:
        yield 0
        with contextlib.suppress(threading.BrokenBarrierError):
            met.append(meeting.wait(timeout=0.3))

    finished(side_by_side([waiting() for _ in range(4)], 3))
    assert met == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_one_work_is_the_error_of_all(workers):
    """What a work raises is raised, and no thread outlives it."""

    def failing() -> Generator[int, None, str]:
        yield 1
        raise ZeroDivisionError("mine")

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError, match="mine"):
        list(side_by_side([work("a", 2), failing(), work("b", 2)], workers))
    assert threading.active_count() == before


@pytest.mark.parametrize("leave", ["close", "interrupt"])
def test_work_that_is_left_ends(leave):
    """Closed or interrupted from outside, endless works stop at their next step, and their threads are gone."""
    before = threading.active_count()
    works = side_by_side([work("a", 1 << 40), work("b", 1 << 40), work("c", 1 << 40)], 2)
    next(works)
    if leave == "close":
        works.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            works.throw(KeyboardInterrupt())
    assert threading.active_count() == before
