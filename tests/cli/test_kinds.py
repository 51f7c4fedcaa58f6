"""Models of words, and of characters that spell rare ones: every command takes them, and scores are of the text."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from charlm.checkpoint.model import load_model, save_model
from charlm.errors import CheckpointError
from charlm.evaluation import surprisals
from charlm.features.labels import characters
from charlm.inspection.views import pieces
from charlm.model.devices import CPU
from charlm.runs.folder import open_run
from charlm.runs.heldout import held_out
from charlm.runs.restore import initial_model
from tests.commands import SHORT, is_error, trained

TEXT = "".join(
    f"The cat’s hat — n° {number % 7} — isn't on the 帽{'子 é' if number % 19 == 5 else ''}!\n" for number in range(60)
)
UNSEEN = "Ünseen wörds, 漢字 and \U0001f600\tat the cat"
WAYS = {"words": ("--symbols", "word"), "all words": ("--symbols", "word", "--min-count", "1"), "rare": ("--min-count", "20")}


@pytest.fixture(scope="session", params=list(WAYS))
def run(request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on TEXT."""
    return trained(tmp_path_factory.mktemp("kinds"), TEXT, *WAYS[request.param], "--batch-size", "2")


def test_what_is_held_out_is_the_same_text(run):
    """The last tenth of the characters, whatever stands for them; its parts decode to the whole."""
    data = open_run(run).data
    assert data.vocab.decode(data.ids) == TEXT
    assert data.vocab.decode(data.validation_ids) == TEXT[int(len(TEXT) * 0.9) :]


def test_scores_are_of_the_characters_of_the_text(run, charlm):
    """The losses of all symbols, summed, over how many characters the text has after the first symbol."""
    model, card = load_model(run / "model.safetensors", CPU)
    ids = card.vocab.encode(UNSEEN)
    nats = torch.cat(list(surprisals(model, ids))).double().sum().item()
    Path("t.txt").write_text(UNSEEN)
    found = json.loads(charlm("eval", "t.txt", "-c", str(run), "--json").text)
    assert found["characters"] == len(UNSEEN) - 1  # the first is spelt, or a character
    assert math.isclose(found["nats_per_char"] * found["characters"], nats, rel_tol=1e-5)
    assert found["skipped"] == 0
    dynamic = json.loads(charlm("eval", "t.txt", "-c", str(run), "--json", "--dynamic").text)
    assert dynamic["characters"] == found["characters"]


def test_training_validation_and_eval_count_alike(run, charlm):
    """The first loss of training is about that of a uniform guess, per character; the last score is what eval gives."""
    data, rows = open_run(run).data, [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    guess = math.log(len(data.vocab)) * len(data.train_ids) / data.vocab.num_characters(data.train_ids)
    assert math.isclose(rows[0]["train_nats"], guess, rel_tol=0.15)
    Path("t.txt").write_text(TEXT[int(len(TEXT) * 0.9) :])
    found = json.loads(charlm("eval", "t.txt", "-c", str(run), "--json").text)
    assert math.isclose(rows[-1]["validation_nats"], found["nats_per_char"], rel_tol=1e-5)
    look = [row["validation_nats"] for row in rows if row["event"] == "eval"][-1]
    assert math.isclose(look, found["nats_per_char"], rel_tol=0.1)


def test_every_character_is_printed_with_its_surprise(run, charlm):
    """--per-character prints the whole text, also what is spelt."""
    Path("t.txt").write_text("x" + UNSEEN)
    result = charlm("eval", "t.txt", "-c", str(run), "--per-character")
    assert result.status == 0
    assert "".join(result.text.splitlines()[::2]).startswith("xÜnseen wörds, 漢字 and")


def test_any_prompt_can_be_gone_on_with(run, charlm):
    """Nothing in it is unknown; what is printed begins with it, and is what --json gives."""
    drawn = charlm("sample", "-c", str(run), "--prompt", UNSEEN, "--length", "40", "--seed", "3")
    assert drawn.status == 0
    assert drawn.text.startswith(UNSEEN)
    found = json.loads(charlm("sample", "-c", str(run), "--prompt", UNSEEN, "--length", "40", "--seed", "3", "--json").text)
    assert found["samples"] == [{"prompt": UNSEEN, "text": drawn.text.removeprefix(UNSEEN)}]
    several = charlm("sample", "-c", str(run), "-p", UNSEEN, "-n", "9", "--seed", "3", "--num-samples", "2").text
    assert several.count(UNSEEN) == 2


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_text_to_end_before_is_looked_for_in_the_text(run, charlm, more):
    """Wherever symbols begin and end: the sample is what it was without --stop, up to there."""
    given = ("sample", "-c", str(run), "--length", "60", "--seed", "5", *more)
    whole = charlm(*given).text
    whole = json.loads(whole)["samples"][0]["text"] if more else whole
    for start, end in ((10, 12), (21, 22), (30, 35)):
        stop = whole[start:end]
        cut = charlm(*given, "--stop", stop.replace("\\", "\\\\")).text
        cut = json.loads(cut)["samples"][0]["text"] if more else cut
        assert cut == whole[: whole.index(stop)]


def test_info_says_what_is_spelt(run, charlm):
    """How many words and characters there are, and that bytes spell others."""
    _, card = load_model(run / "model.safetensors", CPU)
    shown = " ".join(charlm("info", "-c", str(run)).text.split())
    assert f"{len(card.vocab.characters)} characters, 256 bytes for rarer ones" in shown
    assert (f"{len(card.vocab.words)} words, such as" in shown) == (card.vocab.kind == "word")
    vocab = json.loads(charlm("info", "-c", str(run), "--json").text)["vocab"]
    assert vocab["symbols"] == card.vocab.characters
    assert vocab["words"] == list(card.vocab.words)
    assert vocab["size"] == len(vocab["symbols"]) + 256 + len(vocab["words"])


def test_cells_are_inspected(run, charlm):
    """A symbol has the label of its last character, and what is shown is all of the text."""
    Path("t.txt").write_text(TEXT * 3)
    result = charlm("inspect-cells", "t.txt", "-c", str(run), "--html", "cells.html", "--length", "80")
    assert result.status == 0, result.err
    vocab = open_run(run).data.vocab
    ids = vocab.encode(UNSEEN)
    text, num_read = characters(vocab, ids)
    assert text == UNSEEN == "".join(pieces(vocab, ids))
    assert len(pieces(vocab, np.arange(len(vocab)), each=True)) == len(vocab)
    assert [len(vocab.decode(ids[: n + 1]).rstrip("\ufffd")) for n in range(len(ids))] == num_read.tolist()


def test_the_corpus_is_found_again(run, tmp_path: Path):
    """A file of the same bytes under data/ gives the held-out part, cut where the run cut it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "it.txt").write_text(TEXT)
    alone = shutil.copy(run / "model.safetensors", tmp_path / "alone.safetensors")
    _, card = load_model(alone, CPU)
    ids, _ = held_out(Path(alone), card)
    assert np.array_equal(ids, open_run(run).data.validation_ids)


def test_weights_go_over_by_word_and_by_symbol(run, charlm):
    """--init-from gives a word, a character and a byte that both know what the old model has learned of it."""
    Path("new.txt").write_text("The dog isn't on the cat’s mat: ö, 帽\n" * 40)
    before, card = load_model(run / "model.safetensors", CPU)
    way = ("--symbols", card.vocab.kind, "--min-count", "2")
    made = charlm("train", "new.txt", *way, "--init-from", str(run), "--max-steps", "2", "--seq-len", "8", "--quiet")
    assert made.status == 0, made.err
    Path("checkpoints/new/last.safetensors").unlink()  # as it was before its first step
    Path("checkpoints/new/previous.safetensors").unlink(missing_ok=True)
    new = open_run(Path("checkpoints/new"))
    model, mine, theirs = initial_model(new), new.data.vocab.numbers, card.vocab.numbers
    both = mine.keys() & theirs.keys()
    assert len(both) > 256
    assert {"isn't", "The"} & both == ({"isn't", "The"} if card.vocab.words else set())
    for symbol in both:
        assert torch.equal(model.embedding.weight[mine[symbol]], before.embedding.weight[theirs[symbol]])
        assert model.head.bias[mine[symbol]] == before.head.bias[theirs[symbol]]
    other = "byte" if card.vocab.kind == "word" else "word"
    is_error(charlm("train", "new.txt", "--symbols", other, "--init-from", str(run)), 2, "--symbols is")


def test_several_files_give_their_own_ends(charlm):
    """Words are not joined across files, nor across the parts of one; the text of each part is that of characters."""
    Path("a.txt").write_text("no end of words " * 20 + "last")
    Path("b.txt").write_text("begins here, ends there\n" * 20)
    parts = {}
    for kind in ("char", "word"):
        way = ("--symbols", kind, "--test-fraction", "0.2", "--max-steps", "1", "--seq-len", "8", "--out", kind, "--quiet")
        assert charlm("train", "a.txt", "b.txt", *way).status == 0
        data = open_run(Path(kind)).data
        pieces = np.split(data.ids, [data.splits.train, data.splits.validation])
        parts[kind] = [data.vocab.decode(piece) for piece in pieces]
    assert parts["char"] == parts["word"]


def test_a_rare_alphabet_does_not_eat_the_model(charlm):
    """--min-count leaves out what is rare: the vocabulary is smaller, and nothing is unknown."""
    Path("t.txt").write_text("".join(chr(0x4E00 + n) + "的" for n in range(900)))
    for count, size in ((1, 901), (2, 257)):
        way = ("--min-count", str(count), "--max-steps", "2", "--seq-len", "8", "--hidden-size", "8", "--out", str(count), "-q")
        assert charlm("train", "t.txt", *way).status == 0
        assert json.loads(charlm("info", "-c", str(count), "--json").text)["vocab"]["size"] == size
    Path("u.txt").write_text("龍é")
    assert charlm("eval", "u.txt", "-c", "2").status == 0
    is_error(charlm("eval", "u.txt", "-c", "1"), 1, "U+9F8D")
    Path("u.txt").write_text("龍")
    is_error(charlm("eval", "u.txt", "-c", "2"), 1, "the text has 1 character")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--min-count", "3", "--symbols", "byte"), "--min-count"),
        (("--min-count", "0"), "--min-count is 0"),
        (("--min-count", "3", "--task", "classify"), "--min-count"),
        (("--symbols", "word", "--task", "tag"), "--symbols word"),
        (("--symbols", "word", "--restore", "case"), "--symbols word"),
        (["--symbols", "words"], "--symbols is 'words'"),
    ],
)
def test_what_makes_no_sense_is_refused(charlm, options, named):
    """One line says which option does not fit, and nothing is left behind."""
    Path("t.txt").write_text("some text\tyes\n" * 30)
    is_error(charlm("train", "t.txt", *options), 2, named)
    assert not Path("checkpoints").exists()


@pytest.mark.parametrize("text", ["ab" * 40 + "龍", "a word " * 12 + "x" * 9, "ab" * 40 + "龍é"])
@pytest.mark.parametrize("way", list(WAYS))
def test_a_validation_part_of_a_symbol_has_no_score_or_a_finite_one(charlm, text, way):
    """However few symbols are held out, the run ends well."""
    Path("t.txt").write_text(text)
    share = str(2.5 / len(text)) if text.endswith("é") else str(1.5 / len(text))
    result = charlm(
        "train", "t.txt", *WAYS[way], "--max-steps", "1", "--seq-len", "4", "--validation-fraction", share, "--json"
    )
    assert result.status == 0, result.err
    nats = json.loads(result.text.splitlines()[-1])["validation_nats"]
    assert nats is None or math.isfinite(nats)


def test_a_model_of_labels_spells_nothing(tmp_path: Path):
    """A file that says otherwise is refused in one line."""
    rows = "".join(f"{'the cat ' * (n % 5 + 1)}{n}\t{('yes', 'no')[n % 2]}\n" for n in range(60))
    path = trained(tmp_path, rows, "--task", "classify", name="t.tsv") / "model.safetensors"
    model, card = load_model(path, CPU)
    (tmp_path / "other").mkdir()
    _, other = load_model(trained(tmp_path / "other", TEXT, "--min-count", "2") / "model.safetensors", CPU)
    save_model(path, model, replace(card, vocab=other.vocab))
    with pytest.raises(CheckpointError, match="spelt"):
        load_model(path, CPU)


def test_a_text_of_long_words_has_not_changed(charlm, tmp_path):
    """Though it has many more bytes than the run's copy has symbols: it is compared, and goes on without a word."""
    (tmp_path / "long.txt").write_text("internationalisation uncharacteristically\n" * 60, encoding="utf-32")
    options = ("--symbols", "word", "--encoding", "utf-32", "--out", "long")
    assert charlm("train", "long.txt", *SHORT, *options).status == 0
    result = charlm("train", "--resume", "long", "--max-steps", "7")
    assert result.status == 0
    assert "has changed" not in result.err
