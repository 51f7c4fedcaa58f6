"""A processor made ready for training."""

import platform
import subprocess
import sys

import pytest
import torch

from charlm.model.devices import set_threads

SCRIPT = """
import sys, torch
from charlm.model.devices import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
resident = lambda: int(open("/proc/self/statm").read().split()[1])
big = torch.ones(16_000_000)  # 64 MB
before = resident()
del big
print((before - resident()) * 4096)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep what is freed")
def test_freed_memory_is_kept_where_that_was_asked_for():
    """Without it a big tensor's memory goes back to the system when it is freed; with it the process keeps nearly all."""
    given_back = {
        way: int(subprocess.run([sys.executable, "-c", SCRIPT, way], check=True, capture_output=True, text=True).stdout)
        for way in ("keep", "plain")
    }
    assert given_back["plain"] > 50_000_000
    assert given_back["keep"] < 5_000_000


def test_denormals_are_flushed():
    """A number too small to be normal is zero, which spares processors a slow path."""
    set_threads(0)
    assert (torch.full((64,), 1e-38) * 1e-2).sum().item() == 0.0
