"""What a model shows of itself while it trains: a sample, or what it makes of texts it is not trained on."""

from functools import singledispatch
from itertools import groupby

import numpy as np
import torch

from charlm.config import SampleConfig
from charlm.labelling.predict import as_read, probabilities
from charlm.model.heads import Classifier, Labeller, Tagger
from charlm.model.language_model import LanguageModel
from charlm.model.network import Network
from charlm.runs.folder import Run
from charlm.sampling import cut_at, generate
from charlm.text.batches import some
from charlm.text.cutting import BY_LINE
from charlm.text.examples import Examples
from charlm.text.restoring import restored
from charlm.text.vocab import with_start

SAMPLE = SampleConfig(temperature=0.8, length=200)
DOCUMENTS = SampleConfig(temperature=0.8, length=200, num_samples=5)
SAMPLE_SEED = 1
TEXTS, TAGGED = 4, 1  # that are shown with their labels
MOST_SHOWN = 60  # characters of a text that is shown with its label
MOST_TAGGED = 300  # and of one whose characters have labels


@singledispatch
def preview(model: Network, run: Run) -> str:
    """Some lines for people, the same for the same model and run."""
    raise NotImplementedError(f"{type(model).__name__} in {run.folder}")


@preview.register
def _(model: LanguageModel, run: Run) -> str:
    vocab = run.data.vocab
    prompt = with_start(vocab, vocab.encode(""))
    generator = torch.Generator().manual_seed(SAMPLE_SEED)
    if vocab.marks is None:
        return vocab.decode([int(ids[0]) for ids in generate(model, prompt, SAMPLE, generator)])
    rows = torch.stack(list(generate(model, prompt, DOCUMENTS, generator, marks=vocab.marks))).t().tolist()
    texts = [vocab.decode(list(cut_at(iter(row), [[vocab.marks[1]]]))) for row in rows]
    return ("\n" if run.text.documents == BY_LINE else "\n----------\n").join(texts)


@preview.register
def _(model: Classifier, run: Run) -> str:
    """A line for each of some texts: the label given, its probability, the text, and the true label where it is another."""
    examples, names, lines = _shown(model, run, TEXTS), run.labels, []
    for number, row in enumerate(probabilities(model, examples)):
        found, true = int(row.argmax()), int(examples.labels[number])
        text = run.data.vocab.decode(examples.part(number, number + 1).ids)
        cut = text[: MOST_SHOWN - 1] + "…" if len(text) > MOST_SHOWN else text
        lines.append(f"{names[found]} {row[found]:.0%}  {cut}" + ("" if found == true else f"  (is {names[true]})"))
    return "\n".join(lines)


@preview.register
def _(model: Tagger, run: Run) -> str:
    """A text as it is restored, or each stretch with one label followed by that."""
    examples = _shown(model, run, TAGGED)
    labels = [run.labels[found] for found in probabilities(model, examples).argmax(axis=1)[:MOST_TAGGED]]
    text = run.data.vocab.decode(examples.ids)[:MOST_TAGGED]
    if run.text.restore:
        return restored(text, labels)
    pieces = groupby(zip(text, labels, strict=True), lambda each: (each[0].isspace(), each[1]))
    return "".join("".join(c for c, _ in piece) + ("" if is_space else f"/{label}") for (is_space, label), piece in pieces)


def _shown(model: Labeller, run: Run, number: int) -> Examples:
    """The first texts of the validation part, or else of the training part, as the model reads them."""
    examples = run.dataset.validation if len(run.dataset.validation) else run.dataset.train
    read = as_read(
        type(model),
        some(examples, np.linspace(0, len(examples) - 1, min(number, len(examples))).astype(np.int64)),
        run.training.seq_len,
    )
    return some(read, np.arange(min(number, len(read))))  # of a long text, one piece
