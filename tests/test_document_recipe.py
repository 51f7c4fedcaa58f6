"""What is chosen for documents: a step reads as much as it would of a running text, and short ones are read whole."""

import pytest

from charlm.config import End, ModelConfig, TrainConfig
from charlm.document_recipe import MOST_SIDE_BY_SIDE, Lengths, choose_for_documents
from charlm.recipe import Wish, choose


def wish(*by_hand: str, **training) -> Wish:
    """A minute, but for what is set by hand."""
    return Wish(model=ModelConfig(), training=TrainConfig(**training), end=End("seconds", 60.0), by_hand=frozenset(by_hand))


@pytest.mark.parametrize(
    ("number", "characters", "longest", "batch", "steps"),
    [(1800, 15_000, 18, 256, 18), (9000, 400_000, 120, 64, 120), (40, 4_000_000, 300_000, 32, 64), (1800, 5400, 4, 256, 4)],
)
def test_short_documents_are_read_whole_and_many_together(number, characters, longest, batch, steps):
    """Long ones as a running text is: that many streams, that many steps; what else is chosen is that of a running text."""
    lengths = Lengths(number=number, characters=characters, longest=longest)
    recipe = choose_for_documents(wish(), lengths, 50, 130e3)
    plain = choose(wish(), characters, 50, 130e3)
    assert (recipe.training.batch_size, recipe.training.seq_len) == (batch, steps)
    assert recipe.training.batch_size <= MOST_SIDE_BY_SIDE
    assert recipe.training.patience == 6
    assert recipe.model == plain.model
    assert recipe.end == plain.end
    assert f"{batch} documents a step, up to {steps} steps at a time" in recipe.why


def test_what_is_set_by_hand_stays():
    """Each of the two alone, and the line says so."""
    lengths = Lengths(number=1800, characters=15_000, longest=18)
    recipe = choose_for_documents(wish("batch_size", batch_size=7), lengths, 50, 130e3)
    assert (recipe.training.batch_size, recipe.training.seq_len) == (7, 18)
    assert choose_for_documents(wish("patience"), lengths, 50, 130e3).training.patience == 0
    recipe = choose_for_documents(wish("seq_len", seq_len=11), lengths, 50, 130e3)
    assert recipe.training.seq_len == 11
    assert "up to 11 steps" in recipe.why
