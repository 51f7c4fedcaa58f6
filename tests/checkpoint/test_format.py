"""A model file: round trips, and everything that can be wrong with one."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors
import torch

from charlm.checkpoint.card import ModelCard, Scores, Setting
from charlm.checkpoint.format import read_tensors, to_bytes
from charlm.checkpoint.model import load_model, save_model
from charlm.config import CorpusConfig, ModelConfig, TrainConfig
from charlm.errors import CheckpointError
from charlm.model.language_model import LanguageModel
from charlm.tensorfile import METADATA_KEY, MOST_BRACKETS, MOST_CHARACTERS, MOST_HEADER, NO_DIGEST, TensorFile
from charlm.text.parts import Splits
from charlm.text.vocab import Vocab

CPU = torch.device("cpu")
CONFIG = ModelConfig(cell="gru", embedding_size=1, hidden_size=2, num_layers=1)
VOCAB = Vocab(kind="char", symbols=tuple(map(ord, '\n"\\é가😀')), start=0)
CARD = ModelCard(
    model=CONFIG,
    training=TrainConfig(),
    text=CorpusConfig(),
    vocab=VOCAB,
    splits=Splits(train=90, validation=100, test=100),
    corpus_sha256="ab" * 32,
    setting=Setting(charlm="0", torch="2", device="cpu", precision="fp32"),
    step=7,
    scores=Scores(validation_nats=1.25, exact=True),
)


def new_model(seed: int = 0) -> LanguageModel:
    return LanguageModel.initialised(CONFIG, len(VOCAB), generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"
    save_model(file, new_model(), CARD)
    return file


def rewritten(path: Path, *, tensors: dict | None = None, **head: object) -> Path:
    """The file with its head and its tensors changed, and a hash that is right."""
    with TensorFile(path, "model") as file:
        pass
    parameters = safetensors.torch.load(path.read_bytes()) | (tensors or {})
    kept = {name: tensor for name, tensor in parameters.items() if tensor is not None}
    contents = {key: value for key, value in (file.head | head).items() if value is not ...}
    path.write_bytes(to_bytes(kept, contents))
    return path


def test_a_model_comes_back_as_it_was(path):
    """Weights bit for bit, and all that the card says."""
    model, card = load_model(path, CPU)
    assert card == CARD
    expected = dict(new_model().named_parameters())
    assert all(torch.equal(parameter, expected[name]) for name, parameter in model.named_parameters())
    assert all(parameter.data_ptr() % 64 == 0 for parameter in model.parameters())


def test_equal_contents_are_equal_bytes(path, tmp_path):
    """Saving what was loaded writes the same file; another weight or another score does not."""
    model, card = load_model(path, CPU)
    files = [tmp_path / name for name in "abc"]
    save_model(files[0], model, card)
    save_model(files[1], model, replace(card, scores=Scores(validation_nats=1.5, exact=False)))
    save_model(files[2], new_model(1), card)
    assert files[0].read_bytes() == path.read_bytes()
    assert len({file.read_bytes() for file in files}) == 3


def test_the_file_is_plain_safetensors(path):
    """Any program that reads the format reads it; its one key of metadata is JSON."""
    with safetensors.safe_open(path, "pt") as file:
        assert set(file.metadata()) == {METADATA_KEY}
        head = json.loads(file.metadata()[METADATA_KEY])
        assert head["vocab"]["symbols"] == "".join(map(chr, VOCAB.symbols))
        assert set(file.keys()) == {name for name, _ in new_model().named_parameters()}


@pytest.mark.parametrize("bits", [(5,), pytest.param(range(8), marks=pytest.mark.slow)], ids=["one-a-byte", "every"])
def test_every_flipped_bit_is_found(path, bits):
    """Whichever single bit of the file is wrong, loading says so and does nothing else."""
    contents = bytearray(path.read_bytes())
    for position in range(len(contents)):
        for bit in bits:
            contents[position] ^= 1 << bit
            path.write_bytes(contents)
            with pytest.raises(CheckpointError):
                load_model(path, CPU)
            contents[position] ^= 1 << bit


def test_every_truncation_is_found(path):
    """A file cut short anywhere is refused, and so is one that goes on."""
    contents = path.read_bytes()
    for length in range(len(contents)):
        path.write_bytes(contents[:length])
        with pytest.raises(CheckpointError):
            load_model(path, CPU)
    path.write_bytes(contents + b"\0")
    with pytest.raises(CheckpointError):
        load_model(path, CPU)


def test_a_newer_format_asks_for_an_upgrade(path):
    """The hint is to upgrade charlm."""
    contents = to_bytes({}, {"kind": "model"}).replace(b'\\"format\\": 1', b'\\"format\\": 2')
    path.write_bytes(contents)
    with pytest.raises(CheckpointError, match="newer format") as error:
        load_model(path, CPU)
    assert "upgrade" in error.value.hint


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_refused_by_name(path, zipped):
    """What torch.save wrote is called what it is, and never opened."""
    torch.save(new_model().state_dict(), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="is a zip archive.* pickle" if zipped else "is a pickle"):
        load_model(path, CPU)


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"head.bias": None}, "no tensor head.bias"),
        ({"zzz": torch.zeros(1)}, "an unknown tensor zzz"),
        ({"head.bias": torch.zeros(7)}, "head.bias of another shape"),
        ({"head.weight": torch.zeros(2, 6)}, "head.weight of another shape"),
        ({"head.bias": torch.zeros(6, dtype=torch.float64)}, "head.bias in another way"),
        ({"head.bias": torch.zeros(6, dtype=torch.bfloat16)}, "head.bias of another shape or type"),
        ({"head.bias": torch.full((6,), 3e38)}, "head.bias that holds numbers beyond 1e"),
        ({"head.bias": torch.full((6,), torch.nan)}, "head.bias that holds numbers that are not finite"),
    ],
)
def test_tensors_must_be_those_of_the_configuration(path, tensors, says):
    """A tensor that is missing, extra, of the wrong shape or type, or not finite is named."""
    with pytest.raises(CheckpointError, match=says):
        load_model(rewritten(path, tensors=tensors), CPU)


MODEL = {"cell": "gru", "embedding_size": 1, "hidden_size": 2, "num_layers": 1, "dropout": 0.1}


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("model", MODEL | {"hidden_size": 10**9}, "--hidden-size"),
        ("model", MODEL | {"hidden_size": "2"}, "model.hidden_size"),
        ("model", MODEL | {"hidden_size": True}, "model.hidden_size"),
        ("model", MODEL | {"cell": "evil"}, "--cell"),
        ("model", MODEL | {"more": 1}, "model has"),
        ("model", [], r"model is \[\], and must have"),
        ("step", 1.5, "step is 1.5"),
        ("step", ..., "head has no step"),
        ("more", 1, "head has 'more', which this charlm does not know"),
        ("vocab", {"kind": "char", "start": 0, "symbols": "ba"}, "vocab.symbols"),
        ("vocab", {"kind": "char", "start": 0, "symbols": "aa"}, "vocab.symbols"),
        ("vocab", {"kind": "char", "start": 0, "symbols": "b\0"}, "vocab.symbols"),
        ("vocab", {"kind": "char", "start": 6, "symbols": "abcdef"}, "vocab.start"),
        ("vocab", {"kind": "char", "start": -1, "symbols": "abcdef"}, "vocab.start"),
        ("vocab", {"kind": "word", "start": 0, "symbols": "abcdef"}, "vocab.kind"),
        ("vocab", {"kind": "byte", "start": 0, "symbols": "abcdef"}, "vocab.kind"),
        ("vocab", {"kind": "char", "start": 0, "symbols": ""}, "vocab.start"),
        ("splits", {"train": 2, "validation": 1, "test": 3}, "splits"),
        ("splits", {"train": -1, "validation": 1, "test": 3}, "splits"),
        ("step", -1, "step is -1"),
        ("scores", {"validation_nats": "low", "exact": True}, "scores.validation_nats"),
        ("scores", {"validation_nats": 1.7e308, "exact": True}, "scores.validation_nats"),
        ("scores", {"validation_nats": -1.0, "exact": True}, "scores.validation_nats"),
        ("kind", "training", "does not hold a model"),
    ],
)
def test_fields_must_be_what_they_say(path, field, value, says):
    """A field that is missing, extra, of the wrong type or out of bounds is named."""
    with pytest.raises(CheckpointError, match=says):
        load_model(rewritten(path, **{field: value}), CPU)


@pytest.mark.parametrize(
    "contents", [b"", b"\0" * 8, b"\2" + b"\0" * 7 + b"{}", b"\xff" * 64, b"{" * 5000, b'\x05\0\0\0\0\0\0\0["a"]']
)
def test_rubbish_is_refused(path, contents):
    """Whatever the bytes are, it is a CheckpointError and nothing else."""
    path.write_bytes(contents)
    with pytest.raises(CheckpointError):
        load_model(path, CPU)


def test_a_name_that_occurs_twice_is_refused(path):
    """A header whose reading depends on the reader is not read."""
    head = json.dumps({"format": 1, "sha256": NO_DIGEST, "kind": "model"})
    header = json.dumps({"__metadata__": {METADATA_KEY: head}})[:-1] + ', "__metadata__": {}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    with pytest.raises(CheckpointError, match="no head"):
        load_model(path, CPU)


def test_a_training_file_is_no_model(tmp_path):
    """What --resume reads cannot be sampled from by mistake."""
    (tmp_path / "last").write_bytes(to_bytes({}, {"kind": "training"}))
    with pytest.raises(CheckpointError, match="does not hold a model"):
        load_model(tmp_path / "last", CPU)


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (b"\x80\x04\x95\xff\xff\xff\xff\xff", "a pickle, which could run code"),
        (b"GGUF\x03\0\0\1", "a GGUF file"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"\x1f\x8b\x08\0\0\0\0\1", "a gzip file"),
        (b"(dp0\nS'a'", "no safetensors file"),
    ],
)
def test_other_formats_are_called_what_they_are(path, first, says):
    """Whoever has a file of another program is told whose it is."""
    path.write_bytes(first + b"\0" * 100)
    with pytest.raises(CheckpointError, match=f"is {says}"):
        load_model(path, CPU)


HEADERS = {
    "longer than its bound": b" " * (MOST_HEADER + 1),
    "of more characters than any vocabulary takes": b'{"__metadata__": {"charlm": "' + b"a" * MOST_CHARACTERS + b'"}}',
    "of more lists than there are tensors": b"[" + b"[]," * (MOST_CHARACTERS // 3 - 1) + b"[]]",
    "of more numbers than there are tensors": b"[" + b"1e9," * (MOST_CHARACTERS // 4 - 1) + b"0]",
    "deep": b"[" * (MOST_BRACKETS - 1),
}


@pytest.mark.parametrize("how", HEADERS)
def test_a_header_beyond_its_bounds_is_refused(path, how):
    """No header makes Python build more objects than a model's would."""
    header = HEADERS[how]
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    tracemalloc.start()
    with pytest.raises(CheckpointError):
        load_model(path, CPU)
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()


def test_all_of_unicode_is_a_vocabulary(path):
    """The largest vocabulary there can be fits the bounds of the header."""
    everything = (*range(0xD800), *range(0xE000, 0x110000))
    card = replace(CARD, vocab=Vocab(kind="char", symbols=everything, start=10))
    save_model(path, LanguageModel.initialised(CONFIG, len(everything), generator=torch.Generator().manual_seed(0)), card)
    assert load_model(path, CPU)[1] == card


def test_a_model_that_is_replaced_while_it_is_read_is_read_as_it_was(path):
    """A trainer may put its next model in place at any time: what was checked is what is read."""
    with TensorFile(path, "model") as file:
        save_model(path, new_model(1), replace(CARD, step=1_000_000))
        expected = dict(new_model().named_parameters())
        tensors = read_tensors(file, expected)
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)


def test_a_file_that_is_larger_than_memory_is_refused(path, monkeypatch):
    """Nothing of it is read, let alone allocated."""
    monkeypatch.setattr("charlm.tensorfile.free_memory", lambda: 100.0)
    with pytest.raises(CheckpointError, match="free memory"):
        load_model(path, CPU)
