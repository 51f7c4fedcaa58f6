"""What a run's arithmetic depends on: the device, precision and threads it is given here, the machine, and the versions of all
that computes.
"""

import platform
from dataclasses import dataclass

import numpy
import torch

import charlm
from charlm.machine import processor, set_threads
from charlm.model.devices import pick_device, pick_precision
from charlm.runs.record import MachineFacts

DECIDE_BITS = ("charlm", "torch", "numpy", "processor", "device", "cudnn", "accelerator", "precision", "threads")
NOT_NOTED = ("", 0)  # by an earlier charlm


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run computes, and in which precision."""

    device: torch.device
    precision: str


def settle(device: str, precision: str, threads: int) -> Place:
    """Use so many threads from here on, and find the device and precision. Raises `UsageError` for what there is not here."""
    set_threads(threads)
    found = pick_device(device)
    return Place(device=found, precision=pick_precision(precision, found))


def machine_facts(device: torch.device, precision: str) -> MachineFacts:
    """Those of this machine."""
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
    """What decides a result's bits and is not as it was, each as `name old -> new`; what was not noted has not changed."""
    facts = [(name, getattr(was, name), getattr(now, name)) for name in DECIDE_BITS]
    return [f"{name} {old} -> {new}" for name, old, new in facts if old not in NOT_NOTED and old != new]


def is_alike(one: MachineFacts, other: MachineFacts) -> bool:
    """Whether both give the same bits, as far as is known."""
    return all(getattr(one, name) == getattr(other, name) for name in DECIDE_BITS)
