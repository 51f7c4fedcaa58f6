"""The names that people give to devices and precisions -> torch's, and a processor made ready. Knows nothing of models."""

import contextlib
import ctypes
import sys
from contextlib import AbstractContextManager

import torch

from charlm.errors import UsageError


def pick_device(name: str) -> torch.device:
    """The device for --device `name`; "auto" is CUDA where there is one, else the CPU.

    MPS is taken only when asked for: on Apple's chips the CPU is the faster and better-tested of the two for networks of
    this size. Raises `UsageError` for a device that this machine or this build of torch does not have.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    available = {
        "cpu": True,
        "cuda": int(number or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available[kind]:
        raise UsageError(f"--device {name}: torch {torch.__version__} finds no such device here", "try --device cpu")
    if kind == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # so that float32 is float32 there too, and an exact loss exact
    return torch.device(name)


def set_threads(threads: int) -> int:
    """Use `threads` processor threads (0: as many as torch finds cores), and give the number in use."""
    torch.set_flush_denormal(True)  # before any thread is made, for each keeps the flag that it was born with
    if threads:
        torch.set_num_threads(threads)
    return torch.get_num_threads()


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


def pick_precision(name: str, device: torch.device) -> str:
    """The arithmetic, fp32, bf16 or fp16, for --precision `name`; "auto" is bf16 where `device` multiplies it natively.

    Raises `UsageError` for fp16 anywhere but on CUDA, where alone its range is guarded by loss scaling.
    """
    if name == "fp16" and device.type != "cuda":
        raise UsageError(f"--precision fp16 needs CUDA, and the device is {device.type}", "try --precision bf16")
    return ("bf16" if _has_bf16(device) else "fp32") if name == "auto" else name


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and bool(has())


def autocast(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """A context in which matrix products run in `precision` while parameters and sums stay in float32."""
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return torch.autocast(device.type, dtypes[precision], enabled=precision != "fp32")
