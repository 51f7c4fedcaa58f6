"""What `charlm predict` writes: a line for each text, for each word or each character, a restored text, or JSON.

It is imported only when the command runs, because it needs torch and --help does not.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from charlm.checkpoint.card import ModelCard
from charlm.display.terminal import json_line
from charlm.errors import counted
from charlm.labelling.judge import LEAST
from charlm.labelling.predict import Probabilities, as_read, probabilities
from charlm.labelling.words import word_votes, words_of
from charlm.model.heads import Labeller
from charlm.text.asking import Group, Question, num_unknown
from charlm.text.dataset import unlabelled
from charlm.text.restoring import restored

PLACES = 6  # of a probability in JSON

Pair = tuple[str | None, float | None]  # a label and its probability, or neither


class Answers(ABC):
    """What a model answers about texts, and what people should know of them in the end."""

    def __init__(self, model: Labeller, card: ModelCard) -> None:
        self.model, self.card = model, card
        self.unknown = 0  # characters that the model has never seen
        self.cut = 0  # texts of which it read the beginning only

    def of(self, group: Group, *, as_json: bool) -> Iterator[str]:
        """What is written about each text of a group; one that is blank is not asked about."""
        asked = [question for question in group if self._is_asked(question)]
        answers = self._answers(asked) if asked else iter(())
        for question in group:
            answer = next(answers) if self._is_asked(question) else None
            yield json_line(self._row(question, answer)) if as_json else self._lines(question, answer)

    def notices(self) -> Iterator[str]:
        """What people should know of all texts."""
        if self.cut:
            what = f"longer than the {counted(self.card.training.seq_len, 'character')} that the model reads"
            yield f"{counted(self.cut, 'text')} {what}: it read the beginning"
        if self.unknown:
            yield f"{counted(self.unknown, 'character')} that the model has never seen: it read U+FFFD"

    def _is_asked(self, question: Question) -> bool:
        return not question.text.isspace() and question.text != ""

    def _found(self, texts: Sequence[str]) -> Probabilities:
        """The probabilities of the labels of texts, `(n, C)`, or of their characters, `(N, C)`."""
        self.unknown += num_unknown("".join(texts), self.card.vocab)
        examples = unlabelled(texts, self.card.vocab, by_character=self.model.by_character)
        return probabilities(self.model, as_read(type(self.model), examples, self.card.training.seq_len))

    def _pairs(self, found: Probabilities) -> list[Pair]:
        """The likeliest label of each row `(M, C)`, and its probability."""
        names = self.card.labels
        labels, shares = found.argmax(axis=1).tolist(), found.max(axis=1).tolist()
        return [(names[label], round(share, PLACES)) for label, share in zip(labels, shares, strict=True)]

    @abstractmethod
    def _answers(self, asked: Sequence[Question]) -> Iterator[Any]:
        """What the model makes of each text."""

    @abstractmethod
    def _lines(self, question: Question, answer: Any) -> str:  # noqa: ANN401 (what `_answers` gives, or None)
        """What is written of one text."""

    @abstractmethod
    def _row(self, question: Question, answer: Any) -> dict[str, Any]:  # noqa: ANN401 (likewise)
        """The same as a row of JSON, or more."""


class TextAnswers(Answers):
    """A line with a label for each text; an empty one for a blank text."""

    def _answers(self, asked: Sequence[Question]) -> Iterator[Probabilities]:
        most = self.card.training.seq_len
        self.cut += sum(len(self.card.vocab.symbols_of(each.text[: most + 1])) > most for each in asked)
        return iter(self._found([each.text[:most] for each in asked]))

    def _lines(self, _question: Question, answer: Probabilities | None) -> str:
        return "\n" if answer is None else _line(*self._pairs(answer[None])[0])

    def _row(self, question: Question, answer: Probabilities | None) -> dict[str, Any]:
        text = question.text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        if answer is None:
            return {"text": text, "label": None, "probability": None, "probabilities": None}
        label, share = self._pairs(answer[None])[0]
        all_shares = dict(zip(self.card.labels, (round(each, PLACES) for each in answer.tolist()), strict=True))
        return {"text": text, "label": label, "probability": share, "probabilities": all_shares}


class CharacterAnswers(Answers):
    """A line for each character, or for each word where words are known and have one label each; then an empty line."""

    def _answers(self, asked: Sequence[Question]) -> Iterator[list[tuple[str, Pair]]]:
        found, start = self._found([each.text for each in asked]), 0
        for each in asked:
            own = found[start : start + len(each.text)]
            start += len(each.text)
            yield self._words(each, own) if self._has_words(each) else self._characters(each, own)

    def _has_words(self, question: Question) -> bool:
        return self.card.one_label_a_word and bool(question.places)

    def _characters(self, question: Question, found: Probabilities) -> list[tuple[str, Pair]]:
        """The label of each character; where words have one, white space was learned without."""
        pairs = zip(question.text, self._pairs(found), strict=True)
        is_bare = self.card.one_label_a_word
        return [(letter, (None, None) if is_bare and letter.isspace() else pair) for letter, pair in pairs]

    def _words(self, question: Question, found: Probabilities) -> list[tuple[str, Pair]]:
        """The label of each word: the likeliest for all its characters, by their probabilities' geometric mean."""
        examples = unlabelled([question.text], self.card.vocab, by_character=True)
        examples.places[:] = np.frombuffer(question.places, dtype=np.uint8)
        words = words_of(examples)
        means = np.exp(word_votes(examples, words, np.log(np.maximum(found, LEAST))) / words.lengths[:, None])
        texts = [question.text[start : start + n] for start, n in zip(words.starts, words.lengths, strict=True)]
        return list(zip(texts, self._pairs(means / means.sum(axis=1, keepdims=True)), strict=True))

    def _lines(self, _question: Question, answer: list[tuple[str, Pair]] | None) -> str:
        return "" if answer is None else "".join(f"{text}\t{_line(*pair)}" for text, pair in answer) + "\n"

    def _row(self, question: Question, answer: list[tuple[str, Pair]] | None) -> dict[str, Any]:
        labels = [label for _, (label, _) in answer or ()]
        shares = [share for _, (_, share) in answer or ()]
        words = {"words": [text for text, _ in answer or ()]} if self._has_words(question) else {}
        return {"text": question.text} | words | {"labels": labels, "probabilities": shares}


class RestoredAnswers(Answers):
    """The text with what was taken out of it put back."""

    def _is_asked(self, question: Question) -> bool:
        return question.text != ""

    def _answers(self, asked: Sequence[Question]) -> Iterator[list[Pair]]:
        pairs, start = self._pairs(self._found([each.text for each in asked])), 0
        for each in asked:
            yield pairs[start : start + len(each.text)]
            start += len(each.text)

    def _lines(self, question: Question, answer: list[Pair]) -> str:
        labels = [str(label) for label, _ in answer]
        return restored(question.text, labels, original="" if question.is_extended else "\n")

    def _row(self, question: Question, answer: list[Pair]) -> dict[str, Any]:
        labels, shares = zip(*answer, strict=True)
        return {
            "text": self._lines(question, answer),
            "read": question.text,
            "labels": list(labels),
            "probabilities": list(shares),
        }


def _line(label: str | None, share: float | None) -> str:
    return "\n" if label is None else f"{label}\t{share:.4f}\n"


def answers_of(model: Labeller, card: ModelCard) -> Answers:
    """How this kind of model answers."""
    kind = TextAnswers if not model.by_character else RestoredAnswers if card.text.restore else CharacterAnswers
    return kind(model, card)
