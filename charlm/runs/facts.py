"""What a run's arithmetic depends on: the machine, and the versions of all that computes."""

import platform
from typing import Any

import numpy
import torch

import charlm
from charlm.machine import processor

DECIDE_BITS = ("charlm", "torch", "numpy", "processor", "device", "cudnn", "accelerator", "precision", "threads")


def machine_facts(device: torch.device, precision: str) -> dict[str, Any]:
    """What a run's arithmetic depends on, and what people would ask after."""
    return {
        "charlm": charlm.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "device": str(device),
        "cudnn": torch.backends.cudnn.version() if device.type == "cuda" else None,  # type: ignore[no-untyped-call]
        "accelerator": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "precision": precision,
        "threads": torch.get_num_threads(),
    }
