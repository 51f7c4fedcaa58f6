"""The recipe for a run's own data. Measures nothing."""

from charlm.document_recipe import Lengths, choose_for_documents
from charlm.label_recipe import Texts, choose_for_labels
from charlm.recipe import Recipe, Wish, choose
from charlm.runs.data import Data, documents_of
from charlm.text.examples import Dataset
from charlm.training.optimiser import OPTIMISERS


def recipe_for(wish: Wish, data: Data, speed: float | None) -> Recipe:
    """What was not set, for this much text; an optimiser may have a rate of its own."""
    own_rate = OPTIMISERS[wish.training.optimiser].rate
    if isinstance(data, Dataset):
        train = data.train
        texts = Texts(number=len(train), characters=train.num_characters, longest=int(train.lengths.max(initial=1)))
        return choose_for_labels(wish, texts, speed, own_rate)
    if parts := documents_of(data):
        longest = int(parts[0].lengths.max(initial=1))
        lengths = Lengths(number=len(parts[0]), characters=parts[0].num_predicted, longest=longest)
        return choose_for_documents(wish, lengths, len(data.vocab), speed, own_rate)
    unit = "symbols" if data.vocab.is_spelt else "characters"
    return choose(wish, len(data.train_ids), len(data.vocab), speed, own_rate, unit)
