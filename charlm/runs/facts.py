"""What a run's arithmetic depends on: its device, precision and threads, the machine, and the versions of what computes."""

import platform
from dataclasses import dataclass

import numpy
import torch

import charlm
from charlm.machine import processor, set_threads
from charlm.model.devices import pick_device, pick_precision
from charlm.runs.record import MachineFacts

DECIDE_BITS = ("charlm", "torch", "numpy", "processor", "device", "cudnn", "accelerator", "precision", "threads")
NOT_NOTED = ("", 0)  # values of facts that an earlier charlm did not note


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and in which precision a run computes."""

    device: torch.device
    precision: str


def settle(device: str, precision: str, threads: int) -> Place:
    """Set the number of threads, and find the device and precision. Raises `UsageError` for what this machine lacks."""
    set_threads(threads)
    found = pick_device(device)
    return Place(device=found, precision=pick_precision(precision, found))


def machine_facts(device: torch.device, precision: str) -> MachineFacts:
    """The facts of this machine."""
    is_card = device.type == "cuda"
    return MachineFacts(
        charlm=charlm.__version__,
        torch=torch.__version__,
        numpy=numpy.__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        processor=processor(),
        device=str(device),
        cudnn=torch.backends.cudnn.version() if is_card else None,  # type: ignore[no-untyped-call]
        accelerator=torch.cuda.get_device_name(device) if is_card else None,
        precision=precision,
        threads=torch.get_num_threads(),
    )


def changes(was: MachineFacts, now: MachineFacts) -> list[str]:
    """List the facts that decide a result's bits and have changed, as `name old -> new`; facts not noted are left out."""
    facts = [(name, getattr(was, name), getattr(now, name)) for name in DECIDE_BITS]
    return [f"{name} {old} -> {new}" for name, old, new in facts if old not in NOT_NOTED and old != new]


def is_alike(one: MachineFacts, other: MachineFacts) -> bool:
    """Whether both machines should give the same bits: all facts known to decide them agree."""
    return all(getattr(one, name) == getattr(other, name) for name in DECIDE_BITS)
