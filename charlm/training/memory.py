"""The least memory that a run will need, from its numbers alone. Allocates nothing, and knows no machine."""

from charlm.config import TrainConfig, chosen
from charlm.model.cells import CELLS
from charlm.model.network import Network, num_parameters
from charlm.training.optimiser import OPTIMISERS


def training_bytes(network: Network, training: TrainConfig, batch_size: int, *, saves: bool) -> int:
    """Bytes for parameters, gradients and moments, and for what a window of B streams keeps for its gradients.

    Of `network` only the shapes count.

    With `saves`, also for putting a checkpoint together, which happens in the processor's memory. The result is a lower bound,
    half of what was measured (benchmarks/memory.py), so that a run that would fit is never refused.
    """
    model, directions = network.config, 2 if network.config.bidirectional else 1
    in_cells = directions * num_parameters(network.cells)
    others = num_parameters(network) - in_cells
    moments = chosen("--optimiser", training.optimiser, OPTIMISERS).moments
    saved = in_cells * (1 + moments) + others * 3
    gates = CELLS[model.cell].num_gates
    numbers = 3 * model.embedding_size + 3 * gates * directions * model.num_layers * model.hidden_size
    activations = numbers + 6 * network.head.out_features  # in 16 bits
    return 4 * (in_cells + others + (3 if saves else 1) * saved) + 2 * training.seq_len * batch_size * activations
