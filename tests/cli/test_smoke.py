from pathlib import Path


def test_a_trained_model_can_be_sampled(charlm, tmp_path: Path):
    """Two commands lead from a text to a sample."""
    (tmp_path / "t.txt").write_text("the cat sat on the mat.\n" * 50)
    assert charlm("train", "t.txt", "--hidden-size", "8", "--max-steps", "5", "--seq-len", "8").status == 0
    result = charlm("sample", "--length", "20", "--seed", "1", "--prompt", "the")
    assert result.status == 0
    assert result.text.startswith("the")
    assert len(result.text) == 23
