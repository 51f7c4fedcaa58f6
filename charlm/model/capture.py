"""CUDA graphs: work captured once and replayed. Knows nothing of models or of what the work is."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

CAPTURE_AFTER = 3  # plain calls, in which libraries choose their kernels and allocate their working memory


class Captured:
    """A `function` of tensors, captured once as a CUDA graph: hundreds of launches become one.

    A call copies its arguments into the captured ones and returns tensors that the next call overwrites. The function may read
    other tensors, and sees their current values; any other number it reads is frozen at its value during capture. What the
    function does to Python objects happens once, during capture; its work on the GPU happens at each call, and not then.
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
            # Where capturing fails, torch stays on the inner context's stream; the outer context leaves it.
            with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(self.graph):
                self.results = function(*self.arguments)
        except RuntimeError:
            self.failed.append(self.graph)
            raise

    def __call__(self, *arguments: Tensor) -> Sequence[Tensor]:
        """What the function returns for `arguments`, which have the captured shapes.

        Waits until the call before the previous one is done, so that a clock in this process is never far ahead of the GPU.
        """
        self.done.reverse()
        self.done[0].synchronize()
        for mine, given in zip(self.arguments, arguments, strict=True):
            mine.copy_(given)
        self.graph.replay()
        self.done[0].record()
        return self.results
