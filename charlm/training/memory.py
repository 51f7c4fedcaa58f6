"""How much memory a run will need at the least, from its numbers alone. Allocates nothing, and knows of no machine."""

from charlm.config import ModelConfig, TrainConfig
from charlm.model.cells import CELLS
from charlm.model.language_model import LanguageModel


def training_bytes(model: ModelConfig, vocab_size: int, training: TrainConfig, batch_size: int) -> int:
    """Bytes for parameters, gradients and moments, and for what a window of B streams keeps until it is gone back over.

    A lower bound, so that no run is refused that would have fitted: half a number for each activation, as in bf16.
    """
    network = LanguageModel.shapes(model, vocab_size)
    in_cells = sum(parameter.numel() for cell in network.layers for parameter in cell.parameters())
    others = sum(parameter.numel() for parameter in network.parameters()) - in_cells
    moments = 1 if training.optimiser == "muon" else 2  # of a cell's weights
    numbers = in_cells * (2 + moments) + others * 4
    gates = max(1, len(CELLS[model.cell].gate_names))
    activations = model.embedding_size + model.num_layers * model.hidden_size * (gates + 1)
    per_character = 2 * activations + 2 * 4 * vocab_size  # logits and their gradient are whole numbers
    return 4 * numbers + training.seq_len * batch_size * per_character
