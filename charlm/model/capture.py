"""CUDA graphs: work captured once and replayed. Knows nothing of models, nor of what the work is."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

CAPTURE_AFTER = 3  # plain calls, in which libraries choose their kernels and take the memory that they work in


class Captured:
    """A `function` of tensors, captured once as a CUDA graph: hundreds of launches become one.

    A call copies its arguments to where the captured ones stand, and gives what the next call will overwrite. Numbers
    that the function takes from anywhere else are frozen, tensors are not. What the function does to Python's own objects it
    does while it is captured, and never again; work on the GPU is done at each call, and not while it is captured.
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
            # The outer context leaves the inner one's stream, which torch stays on where capturing fails.
            with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(self.graph):
                self.results = function(*self.arguments)
        except RuntimeError:
            self.failed.append(self.graph)
            raise

    def __call__(self, *arguments: Tensor) -> Sequence[Tensor]:
        """What the function gives for `arguments`, of the captured shapes.

        Waits for the call before the last one, so that a clock on this side is never far ahead of the GPU.
        """
        self.done.reverse()
        self.done[0].synchronize()
        for mine, given in zip(self.arguments, arguments, strict=True):
            mine.copy_(given)
        self.graph.replay()
        self.done[0].record()
        return self.results
