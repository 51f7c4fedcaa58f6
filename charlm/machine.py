"""The machine that a process runs on: its processor, threads and memory. Knows no other device.

Only the functions that need torch load it, so that commands which compute nothing do without it.
"""

import contextlib
import ctypes
import math
import platform
import sys
from pathlib import Path


def processor_name() -> str:
    """The maker's name for the processor."""
    with contextlib.suppress(OSError, IndexError):
        return Path("/proc/cpuinfo").read_text().split("model name", 1)[1].split(":", 1)[1].split("\n", 1)[0].strip()
    return platform.processor() or platform.machine()


def processor() -> str:
    """The processor's name and the widest instructions that torch uses on it: with others, sums come out differently."""
    import torch

    return f"{processor_name()}, {torch.backends.cpu.get_cpu_capability()}"


def set_threads(threads: int) -> int:
    """Let torch use `threads` processor threads (0: one for each core it finds), and give the number in use.

    From here on, subnormal numbers are flushed to zero, because processors are slow with them.
    """
    import torch

    torch.set_flush_denormal(True)  # before any thread starts: a thread keeps the flag that it started with
    if threads:
        torch.set_num_threads(threads)
    return torch.get_num_threads()


def free_memory() -> float:
    """The most bytes that the system could still give this process; infinite where it does not say.

    Never too few: a control group's limit counts in full, because the memory used under it may be given back.
    """
    limits = [math.inf]
    with contextlib.suppress(OSError, ValueError, IndexError):
        limits.append(1024 * float(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]))
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # ValueError: "max", which means no limit
            limits.append(float(Path(limit).read_text()))
    with contextlib.suppress(ImportError, OSError, ValueError):  # ImportError: Windows
        import resource

        space = resource.getrlimit(resource.RLIMIT_AS)[0]
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limits.append(math.inf if space == resource.RLIM_INFINITY else max(0, space - used))
    return min(limits)


def keep_freed_memory() -> None:
    """Let the C library keep freed memory, because a process that trains needs the same big tensors at every step.

    By default glibc returns each of them to the system and gets it back page by page, which costs an LSTM a third of its speed.
    Without glibc nothing happens.
    """
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX, as malloc.h has them
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(mmap_max, 0)
            mallopt(trim_threshold, 1 << 30)
