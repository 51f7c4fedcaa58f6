"""A text that comes in pieces -> ids, the same however it was cut. Knows nothing of files."""

import numpy as np
import numpy.typing as npt

from charlm.errors import TextError
from charlm.text.vocab import Ids, Vocab
from charlm.text.words import Tokens


class Encoder:
    """Encodes a text. What the vocabulary lacks is left out and counted; `unseen` is an error that names the first."""

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab
        self.tokens = Tokens() if vocab.kind == "word" else None
        self.done = self.skipped = 0
        self.unseen: TextError | None = None

    def feed(self, symbols: npt.NDArray[np.unsignedinteger], *, final: bool = False) -> Ids:
        """The ids that are certain once `symbols` have come: of words, not quite to the end, unless it is `final`."""
        ends = None
        if self.tokens is not None:
            symbols, ends = self.tokens.feed(symbols.astype(np.uint32), final=final)
        before, self.done = self.done, self.done + len(symbols)
        try:
            return self.vocab.encode_symbols(symbols, before=before, ends=ends)
        except TextError as error:
            self.unseen = self.unseen or error
            self.skipped += int(self.vocab.lacks(symbols).sum())
            return self.vocab.encode_symbols(symbols, skip_unknown=True)

    def end(self) -> Ids:
        """The ids of what is left when nothing more comes."""
        return self.feed(np.zeros(0, dtype=np.uint32), final=True)
