"""Several pieces of long work at once, each in a thread. Knows nothing of what they do.

torch lets go of Python's lock while it computes, so two threads of small products keep two cores busy. Unlike torch's own
threads they never wait for each other, which on a machine with other work to do makes torch's many times slower.
"""

import queue
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def side_by_side(works: Sequence[Generator[int, None, T]], workers: int) -> Generator[int, None, list[T]]:
    """Do all `works`, at most `workers` at a time; yields what they yield as it comes, and gives their results in order."""
    if workers < 2 or len(works) < 2:
        results = []
        for work in works:
            results.append((yield from work))  # noqa: PERF401 (a comprehension cannot yield)
        return results
    progress: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    is_over = threading.Event()

    def do(work: Generator[int, None, T]) -> T | None:
        try:
            while not is_over.is_set():
                progress.put(next(work))
        except StopIteration as end:
            result: T = end.value
            return result
        except BaseException:
            is_over.set()  # the others need not go on
            raise
        finally:
            progress.put(None)  # this one has ended
        return None

    with ThreadPoolExecutor(workers) as pool:
        try:
            futures = [pool.submit(do, work) for work in works]
            left = len(works)
            while left:
                if (done := progress.get()) is None:
                    left -= 1
                else:
                    yield done
        finally:
            is_over.set()
            for future in futures:
                future.cancel()
        return [future.result() for future in futures]  # type: ignore[misc]
