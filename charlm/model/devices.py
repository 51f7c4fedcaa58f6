"""From --device and --precision to torch's devices and types, and what a device can do. Knows nothing of models."""

from contextlib import AbstractContextManager

import torch

from charlm import machine
from charlm.errors import UsageError, gigabytes

CPU = torch.device("cpu")


def pick_device(name: str) -> torch.device:
    """The device for --device `name`; "auto" is CUDA where a CUDA device works, else the CPU.

    MPS is used only on request: for networks of this size the CPU of an Apple chip is faster and better tested. Raises
    `UsageError` for a device that this machine or this build of torch lacks.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() and runs("fp32", torch.device("cuda")) else "cpu"
    kind, _, number = name.partition(":")
    available = {
        "cpu": True,
        "cuda": int(number or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available[kind]:
        raise UsageError(f"--device {name}: torch {torch.__version__} finds no such device here", "try --device cpu")
    if kind == "cuda":
        if not runs("fp32", torch.device(name)):
            what = f"--device {name}: torch {torch.__version__} can run no LSTM on this {torch.cuda.get_device_name(name)}"
            raise UsageError(what, "try --device cpu")
        torch.backends.cudnn.allow_tf32 = False  # so that float32 stays float32, and an exact loss exact
        torch.cuda.set_device(int(number or 0))  # because CUDA graphs are captured on the current device
    return torch.device(name)


def free_memory(device: torch.device) -> float:
    """The most bytes that `device` could still give this process; infinite where the system does not say."""
    return float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else machine.free_memory()


def require_memory(needed: float, what: str, device: torch.device, hint: str) -> None:
    """Raise `UsageError`, before anything is allocated, unless `device` could give `needed` bytes for `what`."""
    free = free_memory(device)
    if needed > free:
        raise UsageError(f"{what} needs about {gigabytes(needed)} of memory, and {gigabytes(free)} are free", hint)


def pick_precision(name: str, device: torch.device) -> str:
    """The arithmetic, fp32, bf16 or fp16, for --precision `name`; "auto" is the fastest that `device` has in hardware.

    On CUDA that is fp16: only in fp16 does cuDNN keep a layer's weights on the chip from step to step. Raises `UsageError` for
    fp16 on other devices, where no loss scaling guards its range, and for bf16 on a processor for which torch lacks a bfloat16
    LSTM.
    """
    without = "leave it out, or try --precision fp32"
    if name == "fp16" and device.type != "cuda":
        raise UsageError(
            f"--precision fp16 needs CUDA, and the device is {device.type}", "leave it out, or try --precision fp32"
        )
    if name == "bf16" and device.type != "cuda" and not runs("bf16", device):
        where = f"this processor lacks the instructions that torch's bfloat16 LSTM needs ({machine.processor()})"
        what = f"--precision bf16: {where if device.type == 'cpu' else f'torch has no bfloat16 LSTM for {device.type} here'}"
        raise UsageError(what, without)
    if name != "auto":
        return name
    if device.type == "cuda":
        return "fp16" if torch.cuda.get_device_capability(device) >= (7, 0) else "fp32"  # 7.0: the first with tensor cores
    is_fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16" if device.type == "cpu" and is_fast() and runs("bf16", device) else "fp32"


def runs(precision: str, device: torch.device) -> bool:
    """Whether torch can run an LSTM in `precision` on `device`: it runs a small one, with arbitrary weights, to find out.

    oneDNN has no bfloat16 LSTM for processors without AVX-512; cuDNN has none for cards it no longer supports.
    """
    try:
        with autocast(precision, device):
            torch.nn.LSTM(1, 1, device="meta").to_empty(device=device)(torch.zeros(1, 1, 1, device=device))
    except RuntimeError:
        return False
    return True


def autocast(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """A context in which matrix products run in `precision` while parameters and sums stay in float32."""
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return torch.autocast(device.type, dtypes[precision], enabled=precision != "fp32")


def needs_loss_scaling(precision: str, device: torch.device) -> bool:
    """Whether gradients may be too small for the arithmetic: on CUDA in bf16 too, where torch runs cuDNN's cells in fp16."""
    return device.type == "cuda" and precision != "fp32"
