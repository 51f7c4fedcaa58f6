"""How much memory a run will need at the least, from its numbers alone. Allocates nothing, and knows of no machine."""

from charlm.config import ModelConfig, TrainConfig, chosen
from charlm.model.cells import CELLS
from charlm.model.language_model import LanguageModel, num_parameters
from charlm.training.optimiser import OPTIMISERS


def training_bytes(model: ModelConfig, vocab_size: int, training: TrainConfig, batch_size: int, *, saves: bool) -> int:
    """Bytes for parameters, gradients and moments, and for what a window of B streams keeps on its way.

    With `saves`, also for what a checkpoint is put together in, which is always the processor's own memory.
    A lower bound, half of what was measured, so that no run is refused that would have fitted (benchmarks/memory.py).
    """
    network = LanguageModel.shapes(model, vocab_size)
    in_cells = num_parameters(network.cells)
    others = num_parameters(network) - in_cells
    moments = chosen("--optimiser", training.optimiser, OPTIMISERS).moments
    saved = in_cells * (1 + moments) + others * 3
    gates = CELLS[model.cell].num_gates
    activations = 3 * model.embedding_size + 3 * gates * model.num_layers * model.hidden_size + 6 * vocab_size  # in 16 bits
    return 4 * (in_cells + others + (3 if saves else 1) * saved) + 2 * training.seq_len * batch_size * activations
