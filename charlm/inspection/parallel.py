"""Several pieces of long work at once, each in a thread. Knows nothing of what they do.

torch releases Python's lock while it computes, so two threads with small products keep two cores busy. They never wait for each
other; torch's own threads do, which makes them many times slower on a busy machine.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from charlm.inspection.telling import TellMore

T = TypeVar("T")


class _NotWanted(BaseException):
    """Raised in a piece of work, when it tells how far it is, once nobody needs its result."""


def side_by_side(works: Sequence[Callable[[TellMore], T]], workers: int, tell: TellMore) -> list[T]:
    """The results of all `works`, in order, at most `workers` of them at a time. One worker or one work runs in this thread.

    Only this thread calls `tell`, which need not be thread-safe. What a work or `tell` raises is raised here, as is an
    interrupt; the other works end when they next tell how far they are.
    """
    if workers < 2 or len(works) < 2:
        return [work(tell) for work in works]
    told: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    is_over = threading.Event()

    def pass_on(more: int) -> None:
        if is_over.is_set():
            raise _NotWanted
        told.put(more)

    def do(work: Callable[[TellMore], T]) -> T | None:
        try:
            return None if is_over.is_set() else work(pass_on)
        except _NotWanted:
            return None
        except BaseException:
            is_over.set()  # the others need not go on
            raise
        finally:
            told.put(None)  # this one has ended

    with ThreadPoolExecutor(workers) as pool:
        try:
            futures = [pool.submit(do, work) for work in works]
            left = len(works)
            while left:
                if (more := told.get()) is None:
                    left -= 1
                else:
                    tell(more)
        finally:
            is_over.set()
            for future in futures:
                future.cancel()
        return [future.result() for future in futures]  # type: ignore[misc]
