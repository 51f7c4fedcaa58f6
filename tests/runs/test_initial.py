"""--init-from: what goes over from a model to a run on other text, and what is refused."""

import shutil
from pathlib import Path

import pytest
import torch

from benchmarks.machine import last_of_each
from charlm.checkpoint.model import load_model
from charlm.errors import CheckpointError
from charlm.model.devices import CPU
from charlm.runs.folder import open_run
from charlm.runs.restore import initial_model
from tests.commands import TEXT, is_error, trained
from tests.conftest import AUSTEN
from tests.runs.reference import assert_same_end, flip, go_on

OTHER = "a dog in the fog, as ever: ÄÖ\n" * 20  # has symbols that TEXT lacks, and lacks some of its
REVIEWS = "".join(f"{'the cat ' * (n % 5 + 1)}{n}\t{('yes', 'no')[n % 2]}\n" for n in range(60))
STEPS = ("--max-steps", "6", "--seq-len", "8", "--batch-size", "4", "--sample-every", "1000", "--quiet")


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model's run on TEXT."""
    return trained(tmp_path_factory.mktemp("old"), TEXT, "--num-layers", "2", "--cell", "gru")


def not_begun(charlm, old: Path, *options: str, text: str = OTHER, name: str = "t.txt") -> Path:
    """A run on other text that begins from the old one, as it is before its first save."""
    Path(name).write_text(text)
    assert charlm("train", name, "--init-from", str(old), *last_of_each(*STEPS, *options)).status == 0
    folder = Path("checkpoints") / Path(name).stem
    for path in ("model.safetensors", "last.safetensors", "previous.safetensors", "metrics.jsonl"):
        (folder / path).unlink(missing_ok=True)
    return folder


def test_weights_go_over_by_symbol(old, charlm):
    """Cells are the old model's; a symbol that both know has its old embedding and output, a new one weights of its own."""
    run = open_run(not_begun(charlm, old))
    model, (before, card) = initial_model(run), load_model(old / "model.safetensors", CPU)
    assert (run.model.cell, run.model.num_layers, run.model.hidden_size) == ("gru", 2, 8)
    assert all(torch.equal(a, b) for a, b in zip(model.cells.parameters(), before.cells.parameters(), strict=True))
    mine, theirs = run.data.vocab.symbols, card.vocab.symbols
    assert 0 < len(set(mine) & set(theirs)) < len(mine)
    for here, symbol in enumerate(mine):
        if symbol in theirs:
            there = theirs.index(symbol)
            assert torch.equal(model.embedding.weight[here], before.embedding.weight[there])
            assert torch.equal(model.head.weight[here], before.head.weight[there])
            assert model.head.bias[here] == before.head.bias[there]
        else:
            assert not any(torch.equal(model.embedding.weight[here], row) for row in before.embedding.weight)
            assert model.embedding.weight[here].any()


def test_a_model_of_labels_begins_with_the_cells_that_read_forward(old, charlm):
    """Its head and the cells that read backward are as fresh as without --init-from."""
    folder = not_begun(charlm, old, "--task", "classify", "--bidirectional", text=REVIEWS, name="r.tsv")
    run = open_run(folder)
    before, _ = load_model(old / "model.safetensors", CPU)
    model = initial_model(run)
    run.record = run.record.__class__(**{n: getattr(run.record, n) for n in run.record.__slots__ if n != "init_from"})
    fresh = initial_model(run)
    assert all(torch.equal(a, b) for a, b in zip(model.cells.parameters(), before.cells.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(model.backwards.parameters(), fresh.backwards.parameters(), strict=True))
    assert torch.equal(model.head.weight, fresh.head.weight)
    assert not torch.equal(model.embedding.weight, fresh.embedding.weight)


def test_what_goes_over_is_said_in_one_line(old, charlm):
    """The shape, how many symbols are known, and which are new."""
    Path("t.txt").write_text(OTHER)
    said = charlm("train", "t.txt", "--init-from", str(old), *STEPS[:-1]).err
    (line,) = [line for line in said.splitlines() if line.startswith("begins with")]
    new = sorted(set(OTHER) - set(TEXT))
    assert f"its 2 x 8 GRU, and {len(set(OTHER)) - len(new)} of its {len(set(TEXT))} symbols" in line
    assert f"; fresh weights for {len(new)} new ones: " in line
    assert "".join(new) in line


def test_a_run_needs_nothing_but_its_folder(old, charlm, tmp_path):
    """Two that were killed before their first save end alike, the one's old model gone; a damaged copy is refused by name."""
    shutil.copytree(old, tmp_path / "gone")
    folder = not_begun(charlm, tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    shutil.copytree(folder, tmp_path / "again")
    shutil.copytree(folder, tmp_path / "damaged")
    go_on(folder)
    go_on(tmp_path / "again")
    assert_same_end(folder, tmp_path / "again")
    flip(tmp_path / "damaged" / "initial.safetensors")
    with pytest.raises(CheckpointError, match=r"initial\.safetensors, from which the run begins, is gone or changed"):
        go_on(tmp_path / "damaged")


def test_what_contradicts_the_model_is_refused(old, charlm):
    """Its cell and sizes are kept; the same size may be named; the hint works."""
    Path("t.txt").write_text(OTHER)
    begin = ("train", "t.txt", "--init-from", str(old))
    is_error(charlm(*begin, "--hidden-size", "9"), 2, "--hidden-size is 9, and the model of --init-from has 8")
    is_error(charlm(*begin, "--cell", "lstm"), 2, "--cell is lstm, and the model of --init-from has gru")
    is_error(charlm(*begin, "--preset", "small"), 2, "--preset small was given with --init-from")
    assert charlm(*begin, "--hidden-size", "8", *STEPS).status == 0


def test_only_a_language_model_can_be_begun_from(old, charlm):
    """A model of labels is refused, and so is what is no model."""
    Path("t.txt").write_text(OTHER)
    folder = not_begun(charlm, old, "--task", "classify", text=REVIEWS, name="r.tsv")
    go_on(folder)
    is_error(charlm("train", "t.txt", "--init-from", str(folder)), 2, "is a model that gives labels")
    is_error(charlm("train", "t.txt", "--init-from", "nowhere"), 1, "there is no model at nowhere")
    is_error(charlm("train", "t.txt", "--init-from", str(AUSTEN)), 1, "is no safetensors file")


def test_bytes_are_begun_from_where_bytes_are_read(charlm, tmp_path):
    """Of a model of bytes the error says so, and advises --symbols byte only where bytes may be learned from."""
    folder = trained(tmp_path, bytes(range(256)) * 4, "--symbols", "byte")
    Path("t.txt").write_text(OTHER)
    begin = ("train", "t.txt", "--init-from", str(folder))
    is_error(charlm(*begin), 2, "the model of --init-from has byte. Say --symbols byte, or")
    assert charlm(*begin, "--symbols", "byte", *STEPS).status == 0
    is_error(charlm(*begin, "--restore", "spaces"), 2, "the model of --init-from has byte. Name another model")


def test_to_go_on_with_a_run_is_another_thing(old, charlm):
    """Each error points to the other way."""
    is_error(charlm("train", "--resume", str(old), "--init-from", str(old)), 2, "--init-from was given with --resume")
    is_error(charlm("train", "--init-from", str(old)), 2, "--init-from was given without CORPUS", f"--resume {old}")
    is_error(charlm("train", "--resume", str(old), "--dropout", "0.2"), 2, "--init-from begins another run from its model")
