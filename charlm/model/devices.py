"""The names that people give to devices and precisions -> torch's; its threads; work recorded for a GPU.

Knows nothing of models.
"""

import contextlib
import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from charlm import machine
from charlm.errors import UsageError

CPU = torch.device("cpu")


def pick_device(name: str) -> torch.device:
    """The device for --device `name`; "auto" is CUDA where there is one that works, else the CPU.

    MPS is taken only when asked for: on Apple's chips the CPU is the faster and better-tested of the two for networks of
    this size. Raises `UsageError` for a device that this machine or this build of torch does not have.
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
        torch.backends.cudnn.allow_tf32 = False  # so that float32 is float32 there too, and an exact loss exact
        torch.cuda.set_device(int(number or 0))  # the one whose work is recorded
    return torch.device(name)


def set_threads(threads: int) -> int:
    """Use `threads` processor threads (0: as many as torch finds cores), and give the number in use."""
    torch.set_flush_denormal(True)  # before any thread is made, for each keeps the flag that it was born with
    if threads:
        torch.set_num_threads(threads)
    return torch.get_num_threads()


def processor() -> str:
    """The processor by name, and the widest instructions that torch takes on it: sums come out another way with others."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, IndexError):
        name = Path("/proc/cpuinfo").read_text().split("model name", 1)[1].split(":", 1)[1].split("\n", 1)[0].strip()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def free_memory(device: torch.device) -> float:
    """The most bytes that `device` could still give this process; infinite where the system does not say."""
    return float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else machine.free_memory()


def require_memory(needed: float, what: str, device: torch.device, hint: str) -> None:
    """Raise `UsageError`, before anything is allocated, unless `device` could give `needed` bytes for `what`."""
    free = free_memory(device)
    if needed > free:
        raise UsageError(f"{what} needs about {_gigabytes(needed)} of memory, and {_gigabytes(free)} are free", hint)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB"


def pick_precision(name: str, device: torch.device) -> str:
    """The arithmetic, fp32, bf16 or fp16, for --precision `name`; "auto" is the fastest that `device` has in hardware.

    On CUDA that is fp16, in which alone cuDNN keeps the weights of a layer on the chip from step to step. Raises `UsageError`
    for fp16 anywhere else, where nothing guards its range by loss scaling, and for bf16 on a processor that torch has no
    bfloat16 LSTM for.
    """
    without = "leave it out, or try --precision fp32"
    if name == "fp16" and device.type != "cuda":
        raise UsageError(
            f"--precision fp16 needs CUDA, and the device is {device.type}", "leave it out, or try --precision fp32"
        )
    if name == "bf16" and device.type != "cuda" and not runs("bf16", device):
        where = f"this processor lacks the instructions that torch's bfloat16 LSTM needs ({processor()})"
        what = f"--precision bf16: {where if device.type == 'cpu' else f'torch has no bfloat16 LSTM for {device.type} here'}"
        raise UsageError(what, without)
    if name != "auto":
        return name
    if device.type == "cuda":
        return "fp16" if torch.cuda.get_device_capability(device) >= (7, 0) else "fp32"  # 7.0: the first with tensor cores
    is_fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16" if device.type == "cpu" and is_fast() and runs("bf16", device) else "fp32"


def runs(precision: str, device: torch.device) -> bool:
    """Whether torch can run an LSTM in `precision` on `device`; found out by running one, with whatever weights.

    oneDNN has none in bfloat16 for processors without AVX-512, cuDNN none at all for cards that it has left behind.
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
    """Whether gradients may be too small for the arithmetic: on CUDA in bf16 too, for torch runs cuDNN's cells in fp16 then."""
    return device.type == "cuda" and precision != "fp32"


RECORD_AFTER = 3  # plain calls, in which libraries choose their kernels and take the memory that they work in


class Recording:
    """A `function` of tensors, recorded once as a CUDA graph: hundreds of launches become one.

    A call copies its arguments to where those of the recording stand, and gives what the next call will overwrite. Numbers
    that the function takes from anywhere else are frozen, tensors are not. What the function does to Python's own objects it
    does while it is recorded, and never again; work on the GPU is done at each call, and not while it is recorded.
    """

    failed: ClassVar[list[torch.cuda.CUDAGraph]] = []  # kept, because torch's allocator may still point to them

    def __init__(
        self, function: Callable[..., Sequence[Tensor]], arguments: Sequence[Tensor], generators: Sequence[torch.Generator] = ()
    ) -> None:
        self.arguments = [each.clone() for each in arguments]
        self.graph = torch.cuda.CUDAGraph()
        if hasattr(self.graph, "register_generator_state"):  # later versions of torch will find generators by themselves
            for generator in generators:
                self.graph.register_generator_state(generator)
        self.done = [torch.cuda.Event() for _ in range(2)]  # type: ignore[no-untyped-call]  # torch leaves it untyped
        try:
            # The outer context leaves the inner one's stream, which torch stays on where a recording fails.
            with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(self.graph):
                self.results = function(*self.arguments)
        except RuntimeError:
            self.failed.append(self.graph)
            raise

    def __call__(self, *arguments: Tensor) -> Sequence[Tensor]:
        """What the function gives for `arguments`, of the recorded shapes.

        Waits for the call before the last one, so that a clock on this side is never far ahead of the GPU.
        """
        self.done.reverse()
        self.done[0].synchronize()
        for mine, given in zip(self.arguments, arguments, strict=True):
            mine.copy_(given)
        self.graph.replay()
        self.done[0].record()
        return self.results
