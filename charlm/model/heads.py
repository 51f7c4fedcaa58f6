"""Models that give labels: to a text, or to each of its characters. Knows ids but no characters, and no label's name.

A batch is B texts, each as long as its entry in `lengths`, the longest T; what fills up the shorter ones changes nothing. No
mask enters the cells: reading forward, what fills up comes after a text's end; reading backward, each text is turned round
first, so that it comes last again.

B texts   T characters of the longest   V vocabulary   C labels   H hidden
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from charlm.config import ModelConfig, chosen
from charlm.model.network import Network
from charlm.model.stack import Stack, dropout


class Labeller(Network):
    """A stack, or one for each direction and a layer that joins them, and a head with C numbers for a text or a character."""

    by_character: ClassVar[bool]

    def __init__(self, config: ModelConfig, vocab_size: int, num_labels: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(vocab_size, config.embedding_size)
        self.cells = Stack(config)
        self.backwards = Stack(config) if config.bidirectional else None
        self.join = nn.Linear(2 * config.hidden_size, config.hidden_size) if config.bidirectional else None
        self.head = nn.Linear(config.hidden_size, num_labels)

    @property
    def num_labels(self) -> int:
        """C, the number of labels."""
        return self.head.out_features

    @property
    def outgoing(self) -> Tensor:
        """The weights `(C, H)` of the head, or `(H, H)` of what joins the directions, that the units reading forward meet."""
        return self.head.weight if self.join is None else self.join.weight[:, : self.config.hidden_size]

    def directions(self, ids: Tensor, lengths: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """The top layer's h of each direction, `(T, B, H)`, as it reads: from int64 ids `(T, B)` and lengths `(B,)`."""
        readings = [(self.cells, ids)]
        if self.backwards is not None:
            readings.append((self.backwards, turned(ids, lengths)))
        return [stack(self.embedding(seen), stack.initial_state(ids.shape[1]), generator)[0] for stack, seen in readings]

    def forward(self, ids: Tensor, lengths: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Ids `(T, B)` and lengths `(B,)`, int64 -> logits as `decide` gives them. With a generator there is dropout."""
        return self.decide(self.directions(ids, lengths, generator), lengths, generator)

    def logits(self, x: list[Tensor], generator: torch.Generator | None = None) -> Tensor:
        """The head over what each direction knows, `(..., B, H)` each: `(..., B, C)`."""
        known = x[0] if self.join is None else torch.tanh(self.join(torch.cat(x, dim=-1)))
        return self.head(dropout(known, self.config.dropout, generator))  # type: ignore[no-any-return]

    def decide(self, directions: list[Tensor], lengths: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the head makes of the directions, each `(T, B, H)`, of texts with `lengths` `(B,)`."""
        raise NotImplementedError

    def decide_so_far(self, directions: list[Tensor], lengths: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the head makes of them at each character, having read forward up to it: logits `(T, B, C)`, without meaning
        beyond a length.
        """
        raise NotImplementedError


class Classifier(Labeller):
    """A label for a text, from what each direction knows at its end, or from the mean or the maximum over all characters."""

    by_character = False

    def __init__(self, config: ModelConfig, vocab_size: int, num_labels: int) -> None:
        super().__init__(config, vocab_size, num_labels)
        self.pool = chosen("--pooling", config.pooling, POOLINGS)

    def decide(self, directions: list[Tensor], lengths: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Logits `(B, C)`."""
        return self.logits([self.pool(h, lengths).unsqueeze(0) for h in directions], generator).squeeze(0)

    def decide_so_far(self, directions: list[Tensor], lengths: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What it would say if reading forward ended there. Of another direction, if it reads one, it knows the whole text."""
        forward, *backward = directions
        known = SO_FAR[self.config.pooling](forward)
        return self.logits([known, *(self.pool(h, lengths).expand_as(known) for h in backward)], generator)


class Tagger(Labeller):
    """A label for each character, from all before it and, where both directions are read, from all after it."""

    by_character = True

    def decide(self, directions: list[Tensor], lengths: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Logits `(T, B, C)`, without meaning beyond a length."""
        forward, *backward = directions
        return self.logits([forward, *(turned(h, lengths) for h in backward)], generator)

    def decide_so_far(self, directions: list[Tensor], lengths: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What it says of each character."""
        return self.decide(directions, lengths, generator)


def turned(x: Tensor, lengths: Tensor) -> Tensor:
    """`x` `(T, B, ...)` with each text turned round; what fills up stays where it is. Its own inverse."""
    steps = torch.arange(len(x), device=x.device).unsqueeze(1)  # (T, 1)
    places = torch.where(steps < lengths, lengths - 1 - steps, steps)  # (T, B)
    return x.gather(0, places.view(*places.shape, *[1] * (x.ndim - 2)).expand_as(x))


def last(h: Tensor, lengths: Tensor) -> Tensor:
    """`h` `(T, B, H)` at each text's last character: `(B, H)`."""
    return h[lengths - 1, torch.arange(len(lengths), device=h.device)]


def mean(h: Tensor, lengths: Tensor) -> Tensor:
    """The mean of `h` `(T, B, H)` over each text's own characters: `(B, H)`."""
    return h.masked_fill(beyond(h, lengths), 0.0).sum(dim=0) / lengths.unsqueeze(1)


def maximum(h: Tensor, lengths: Tensor) -> Tensor:
    """The maximum of `h` `(T, B, H)` over each text's own characters: `(B, H)`."""
    return h.masked_fill(beyond(h, lengths), -torch.inf).amax(dim=0)


def beyond(h: Tensor, lengths: Tensor) -> Tensor:
    """Which places of `h` `(T, B, H)` lie beyond a text's end: `(T, B, 1)`."""
    return (torch.arange(len(h), device=h.device).unsqueeze(1) >= lengths).unsqueeze(2)


POOLINGS = {"last": last, "mean": mean, "max": maximum}
# The same of h `(T, B, H)` up to each character, for all characters at once: `(T, B, H)`.
SO_FAR: dict[str, Callable[[Tensor], Tensor]] = {
    "last": lambda h: h,
    "mean": lambda h: h.cumsum(dim=0) / torch.arange(1, len(h) + 1, device=h.device).view(-1, 1, 1),
    "max": lambda h: h.cummax(dim=0).values,
}
