"""A processor made ready for training."""

import platform
import re
import subprocess
import sys

import pytest
import torch

from charlm.errors import UsageError
from charlm.machine import set_threads
from charlm.model import devices
from charlm.model.devices import needs_loss_scaling, pick_device, pick_precision
from tests.conftest import NEEDS_BF16

SCRIPT = """
import sys, torch
from charlm.machine import keep_freed_memory
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


def test_the_device_that_was_named_is_the_one_that_works(monkeypatch):
    """With several, cuda:1 is made torch's current one, so that what is captured is its work."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(devices, "runs", lambda *_: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert pick_device("cuda:1") == torch.device("cuda:1")
    assert pick_device("cuda") == torch.device("cuda")
    assert chosen == [1, 0]


def test_a_card_that_torch_cannot_use_is_left_alone(monkeypatch):
    """By itself charlm takes the processor then; where the card was named, one line says what is the matter."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla P4")
    monkeypatch.setattr(devices, "runs", lambda precision, device: device.type == "cpu")
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(UsageError, match="can run no LSTM on this Tesla P4") as refused:
        pick_device("cuda:0")
    assert refused.value.hint == "try --device cpu"


@pytest.mark.parametrize(("capability", "precision"), [((9, 0), "fp16"), ((7, 0), "fp16"), ((6, 1), "fp32")])
def test_cuda_takes_fp16_where_it_has_tensor_cores(capability, precision, monkeypatch):
    """Unless told otherwise; and fp16 is for CUDA alone, because only there is its range guarded."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert pick_precision("auto", torch.device("cuda")) == precision
    assert pick_precision("bf16", torch.device("cuda")) == "bf16"
    with pytest.raises(UsageError, match="--precision fp16 needs CUDA"):
        pick_precision("fp16", torch.device("cpu"))


@pytest.mark.parametrize("has_instructions", [True, False])
def test_a_processor_without_a_bfloat16_lstm_computes_in_float32(has_instructions, monkeypatch):
    """Whatever torch says of its instructions; bf16 by name is an error then, which says so and what works."""

    def refuse(*_):
        raise RuntimeError("could not create a primitive descriptor for the LSTM forward propagation primitive")

    monkeypatch.setattr(torch.nn.LSTM, "forward", refuse)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_instructions)
    assert pick_precision("auto", torch.device("cpu")) == "fp32"
    with pytest.raises(UsageError, match="--precision bf16: this processor lacks") as refused:
        pick_precision("bf16", torch.device("cpu"))
    tried = re.search("--precision (fp32)", refused.value.hint)
    assert pick_precision(tried[1], torch.device("cpu")) == "fp32"


@NEEDS_BF16
def test_bfloat16_is_taken_where_it_runs():
    """By name always; unasked only where the processor has it in hardware."""
    assert pick_precision("bf16", torch.device("cpu")) == "bf16"
    is_fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    assert pick_precision("auto", torch.device("cpu")) == ("bf16" if is_fast else "fp32")


def test_gradients_are_scaled_wherever_cuda_computes_in_half_precision():
    """In bf16 as in fp16, because torch runs cuDNN's cells in fp16 for both; in float32, and on a CPU, nothing is scaled."""
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert [needs_loss_scaling(name, cuda) for name in ("fp32", "bf16", "fp16")] == [False, True, True]
    assert not needs_loss_scaling("bf16", cpu)
