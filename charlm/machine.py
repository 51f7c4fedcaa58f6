"""The machine that a process runs on: its processor, threads and memory. Knows nothing of devices beside the processor.

torch is loaded by those functions only that set or ask it, so that commands which compute nothing do without it.
"""

import contextlib
import ctypes
import math
import platform
import sys
from pathlib import Path


def processor_name() -> str:
    """The processor, as its maker calls it."""
    with contextlib.suppress(OSError, IndexError):
        return Path("/proc/cpuinfo").read_text().split("model name", 1)[1].split(":", 1)[1].split("\n", 1)[0].strip()
    return platform.processor() or platform.machine()


def processor() -> str:
    """The processor by name, and the widest instructions that torch takes on it: sums come out another way with others."""
    import torch

    return f"{processor_name()}, {torch.backends.cpu.get_cpu_capability()}"


def set_threads(threads: int) -> int:
    """Let torch use `threads` processor threads (0: as many as it finds cores), and give the number in use.

    Numbers too small to be normal are flushed to zero from here on: processors are slow with them.
    """
    import torch

    torch.set_flush_denormal(True)  # before any thread is made, for each keeps the flag that it was born with
    if threads:
        torch.set_num_threads(threads)
    return torch.get_num_threads()


def free_memory() -> float:
    """The most bytes that the system could still give this process; infinite where it does not say.

    Never too few: what a limit leaves is taken whole, for what counts against it may be given back.
    """
    limits = [math.inf]
    with contextlib.suppress(OSError, ValueError, IndexError):
        limits.append(1024 * float(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]))
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            limits.append(float(Path(limit).read_text()))
    with contextlib.suppress(ImportError, OSError, ValueError):  # ImportError: Windows
        import resource

        space = resource.getrlimit(resource.RLIMIT_AS)[0]
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limits.append(math.inf if space == resource.RLIM_INFINITY else max(0, space - used))
    return min(limits)


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, for a process that trains: it asks for the same big tensors at every step.

    By default glibc gives each of them back to the system and gets it again page by page, which costs an LSTM a third of its
    speed. Without glibc nothing happens.
    """
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX, as malloc.h has them
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(mmap_max, 0)
            mallopt(trim_threshold, 1 << 30)
