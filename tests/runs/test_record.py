"""run.json as a type: what is in it comes back, and what cannot be is named."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from charlm.errors import CheckpointError
from charlm.runs.record import MOST_NUMBER, hashes_in, number_of, read_record, write_record
from charlm.text.parts import Splits
from tests.runs.reference import RECORD

WRONG = {
    "number": [-1, MOST_NUMBER, "1", None],
    "end": [{"unit": "epochs", "amount": 2.0}, {"unit": "steps", "amount": 0}, {"max_steps": 1, "max_seconds": 2.0}],
    "splits": [asdict(Splits(train=0, validation=0, test=0)), {"train": 2, "validation": 1, "test": 3}],
    "corpus_sha256": ["", "A" * 64, "a" * 63, 5],
    "ids_sha256": ["b" * 65, None],
    "machine": [{"threads": -1}, {"threads": "2"}, []],
    "training": [{"seq_len": 0}],
    "argv": ["charlm", [1]],
}


def written(folder: Path, **changes: object) -> Path:
    """A run.json, in which some fields are changed."""
    path = folder / "run.json"
    write_record(path, RECORD)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_what_is_written_comes_back(tmp_path):
    """Every field of a record, and the three that are looked at by themselves."""
    write_record(tmp_path / "run.json", RECORD)
    assert read_record(tmp_path / "run.json") == RECORD
    assert (number_of(tmp_path), *hashes_in(tmp_path)) == (7, "a" * 64, "b" * 64)


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_what_no_run_can_say_is_named(tmp_path, field, value):
    """A wrong type, a number out of bounds and a hash that is none are one line with the file and the field."""
    with pytest.raises(CheckpointError) as error:
        read_record(written(tmp_path, **{field: value}))
    assert "run.json" in error.value.message
    assert field in error.value.message
    assert "\n" not in error.value.message
