"""Every unit's signals at every character -> a safetensors file, for people's own analysis. Written as it is computed.

The file is a trace on disk, which charlm never opens again. So this module lies here, and knows nothing of model files.

The safetensors library writes only tensors that are whole in memory, and those of a long text are too large. So this module
writes the format's eight bytes of length and its JSON head, and then fills in the tensors. Tests read them with the library.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charlm.files import replaced
from charlm.inspection.telling import count_in, tell_nobody
from charlm.inspection.texts import Starts
from charlm.inspection.trace import blocks, chapters, chapters_of, groups
from charlm.model.network import Network
from charlm.text.corpus import Tell
from charlm.text.vocab import Ids

DTYPES: dict[str, np.dtype[Any]] = {"I64": np.dtype("<i8"), "F32": np.dtype("<f4")}


def save_activations(path: Path, model: Network, ids: Ids, tell: Tell = tell_nobody, starts: Starts | None = None) -> int:
    """Write float32 `layerL.SIGNAL` `(N, H)`, with c itself and not tanh(c), and int64 `ids` `(N,)`; gives the size in bytes.

    Row t has the values after character t is read. Of several texts, which begin at `starts`, int64 `texts` `(N,)` says which
    one a character is of, from 0 on. The file appears whole or not at all. Raises `OSError`.
    """
    known: dict[str, npt.NDArray[Any]] = {"ids": ids}
    if starts is not None:
        known["texts"] = np.searchsorted(starts, np.arange(len(ids)), side="right") - 1
    shapes = dict.fromkeys(known, ("I64", 1))
    shapes |= {f"layer{group.layer}.{group.signal}": ("F32", group.size) for group in groups(model)}
    spans, end = {}, 0
    for name, (kind, width) in shapes.items():
        spans[name] = (end, end := end + len(ids) * width * DTYPES[kind].itemsize)
    head = {
        name: {"dtype": kind, "shape": [len(ids)] if name in known else [len(ids), width], "data_offsets": list(spans[name])}
        for name, (kind, width) in shapes.items()
    }
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with replaced(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.flush()
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, 8 + len(text) + end)  # a full disk is an OSError here, a SIGBUS later
        else:
            file.truncate(8 + len(text) + end)
        columns = [
            np.memmap(file, DTYPES[kind], "r+", offset=8 + len(text) + spans[name][0], shape=(len(ids), width))
            for name, (kind, width) in shapes.items()
        ]
        for column, given in zip(columns, known.values(), strict=False):
            column[:, 0] = given
        count = count_in(tell, "writing activations", len(ids))
        whole = (0, len(ids))
        read = (
            chapters_of(model, ids, whole, starts) if starts is not None else (each for each, _ in chapters(model, ids, whole))
        )
        for chapter in read:
            for block in blocks(model, chapter):
                for column, values in zip(columns[len(known) :], block.values, strict=True):
                    column[block.positions] = values.t().cpu().numpy()
                count(len(block.positions))
        for column in columns:
            column.flush()
    return 8 + len(text) + end
