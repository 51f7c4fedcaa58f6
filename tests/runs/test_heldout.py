"""The part of a corpus that a model was not trained on, wherever its corpus now is."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from charlm.checkpoint.model import load_model
from charlm.errors import TextError
from charlm.model.heads import Classifier
from charlm.runs.heldout import held_out, held_out_examples
from tests.commands import TEXT, mood_run, trained


def lost(run: Path, how: str) -> None:
    """Make the run's own copy of its corpus useless."""
    if how == "gone":
        (run / "corpus.bin").unlink()
    elif how == "of another run":
        facts = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps(facts | {"corpus_sha256": "0" * 64}))
    else:
        (run / "run.json").write_text("{")


def found(run: Path) -> tuple[str, Path]:
    """The held-out text of the run's model, and where it is from."""
    model = run / "model.safetensors"
    _, card = load_model(model, torch.device("cpu"))
    ids, place = held_out(model, card)
    return "".join(np.array([chr(symbol) for symbol in card.vocab.symbols])[ids]), place


HELD_OUT = TEXT[int(len(TEXT) * 0.9) :]
WAYS = ["gone", "of another run", "without a record"]


def test_the_runs_own_copy_comes_first(tmp_path: Path):
    """Beside its corpus, a model's held-out part is all that comes after the training part, test part included."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "same.txt").write_text(TEXT)
    run = trained(tmp_path, TEXT, "--validation-fraction", "0.25", "--test-fraction", "0.25")
    assert found(run) == (TEXT[len(TEXT) // 2 :], run / "corpus.bin")


@pytest.mark.parametrize("field", ["argv", "machine", "model", "end", "from_a_later_charlm"])
def test_a_record_that_is_odd_elsewhere_still_says_which_corpus(tmp_path: Path, field):
    """Only its two hashes are asked for: a model can be looked into though its run cannot go on."""
    run = trained(tmp_path)
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {field: 7}))
    assert found(run) == (HELD_OUT, run / "corpus.bin")


def test_of_several_files_only_the_runs_own_copy_will_do(tmp_path: Path):
    """Each gave its own end, so that a file with the bytes of all of them ends in other text."""
    other = "that rat sat at the hat.\n" * 20
    (tmp_path / "other.txt").write_text(other)
    run = trained(tmp_path, TEXT, "--validation-fraction", "0.25", "other.txt")
    ends = [text[int(len(text) * 0.75) :] for text in (TEXT, other)]
    assert found(run) == ("".join(ends), run / "corpus.bin")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "both.txt").write_text(TEXT + other)
    lost(run, "gone")
    with pytest.raises(TextError, match="neither beside it nor under data/"):
        found(run)


@pytest.mark.parametrize("how", WAYS)
def test_a_file_of_the_same_hash_is_the_corpus(tmp_path: Path, how):
    """Where the run's copy cannot be trusted, a file under data/ with the same bytes is read, whatever its name."""
    run = trained(tmp_path)
    lost(run, how)
    (tmp_path / "data" / "a-folder").mkdir(parents=True)
    (tmp_path / "data" / "b.txt").write_text(TEXT + "and more")
    (tmp_path / "data" / "c.bin").write_text(TEXT)
    assert found(run) == (HELD_OUT, Path("data/c.bin"))


@pytest.mark.parametrize("beside", [HELD_OUT, HELD_OUT[:-1], "é" * len(HELD_OUT)], ids=["it", "a shorter text", "another text"])
def test_what_was_handed_on_beside_a_model_is_its_held_out_part(tmp_path: Path, beside):
    """A held-out.txt of the right length and symbols is taken; any other is passed over."""
    run = trained(tmp_path)
    lost(run, "gone")
    (run / "held-out.txt").write_text(beside, encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "t.txt").write_text(TEXT)
    assert found(run) == (HELD_OUT, run / "held-out.txt" if beside == HELD_OUT else Path("data/t.txt"))


@pytest.mark.parametrize("options", [("--encoding", "utf-16-le"), ("--symbols", "byte")])
def test_the_file_is_read_as_it_was_in_training(tmp_path: Path, options):
    """Encoding and kind of symbols are the model's own."""
    text = "né où\n" * 100
    raw = text.encode(options[1] if options[0] == "--encoding" else "utf-8")
    run = trained(tmp_path, raw, *options)
    own = found(run)[0]
    lost(run, "gone")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_bytes(raw)
    assert found(run) == (own, Path("data/x"))
    whole = text if options[0] == "--encoding" else raw.decode("latin-1")
    assert own
    assert whole.endswith(own)


@pytest.mark.parametrize("more", [1, 4, 6])
def test_a_word_that_is_cut_in_two_is_held_out_as_it_was_in_training(tmp_path: Path, more):
    """Wherever in a word the parts meet, the corpus's file gives the ids of the run's own copy: its end, from the cut on."""
    text = "mat.\n" * more + "somewhere " * 70
    run = trained(tmp_path, text, "--symbols", "word", "--validation-fraction", "0.2", "--test-fraction", "0.1")
    _, card = load_model(run / "model.safetensors", torch.device("cpu"))
    own, _ = held_out(run / "model.safetensors", card)
    lost(run, "gone")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_text(text)
    ids, place = held_out(run / "model.safetensors", card)
    assert place == Path("data/x")
    assert ids.tolist() == own.tolist()
    assert card.vocab.decode(ids) == text[int(len(text) * (1 - 0.1 - 0.2)) :]


@pytest.mark.parametrize("how", WAYS)
def test_a_corpus_that_is_nowhere_is_an_error(tmp_path: Path, how):
    """With data/ or without, the error says to name a text."""
    run = trained(tmp_path)
    lost(run, how)
    for _ in range(2):
        with pytest.raises(TextError, match="data/") as error:
            found(run)
        assert "TEXT" in error.value.hint
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "t.txt").write_text(TEXT[:-1])


def test_a_model_that_has_read_it_all_has_nothing_held_out(tmp_path: Path):
    """Without a validation and a test part there is no text that the model has not seen."""
    run = trained(tmp_path, TEXT, "--validation-fraction", "0")
    with pytest.raises(TextError, match="whole of its corpus"):
        found(run)


def test_of_labelled_texts_all_that_training_did_not_learn_from_are_held_out(tmp_path: Path):
    """Beside its run, a model's validation part and test part, in this order; without the run, an error says what to do."""
    run = mood_run(tmp_path)
    model = run / "model.safetensors"
    _, card = load_model(model, torch.device("cpu"))
    examples, place = held_out_examples(model, card)
    assert place == run / "examples.bin"
    assert len(examples) == card.splits.test - card.splits.train > 0
    rows = (tmp_path / "moods.tsv").read_text().splitlines()
    ends = [int(each) for each in examples.bounds]
    shown = [
        card.vocab.decode(examples.ids[start:stop]) + "\t" + card.labels[label]
        for start, stop, label in zip(ends, ends[1:], examples.labels.tolist(), strict=False)  # one end more than texts
    ]
    assert set(shown) <= set(rows)
    for how in ("of another run", "without a record"):
        lost(run, how)
        with pytest.raises(TextError, match="beside") as error:
            held_out_examples(model, card)
        assert "file" in error.value.hint


def test_a_model_of_all_its_texts_has_none_held_out(tmp_path: Path):
    """Without a validation and a test part there is no text that the model has not seen."""
    run = mood_run(tmp_path, Classifier, "--validation-fraction", "0", "--test-fraction", "0")
    _, card = load_model(run / "model.safetensors", torch.device("cpu"))
    with pytest.raises(TextError, match="all of its texts"):
        held_out_examples(run / "model.safetensors", card)
