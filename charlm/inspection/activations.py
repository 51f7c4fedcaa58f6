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

from charlm.files import replaced
from charlm.inspection.telling import count_in, tell_nobody
from charlm.inspection.trace import blocks, chapters, groups
from charlm.model.language_model import LanguageModel
from charlm.text.corpus import Tell
from charlm.text.vocab import Ids

DTYPES: dict[str, np.dtype[Any]] = {"I64": np.dtype("<i8"), "F32": np.dtype("<f4")}


def save_activations(path: Path, model: LanguageModel, ids: Ids, tell: Tell = tell_nobody) -> int:
    """Write float32 `layerL.SIGNAL` `(N, H)`, with c itself and not tanh(c), and int64 `ids` `(N,)`; gives the size in bytes.

    Row t has the values after character t is read. The file appears whole or not at all. Raises `OSError`.
    """
    shapes = {"ids": ("I64", 1), **{f"layer{group.layer}.{group.signal}": ("F32", group.size) for group in groups(model)}}
    spans, end = {}, 0
    for name, (kind, width) in shapes.items():
        spans[name] = (end, end := end + len(ids) * width * DTYPES[kind].itemsize)
    head = {
        name: {"dtype": kind, "shape": [len(ids)] if name == "ids" else [len(ids), width], "data_offsets": list(spans[name])}
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
        columns[0][:, 0] = ids
        count = count_in(tell, "writing activations", len(ids))
        for chapter, _ in chapters(model, ids, (0, len(ids))):
            for block in blocks(model, chapter):
                for column, values in zip(columns[1:], block.values, strict=True):
                    column[block.positions] = values.t().cpu().numpy()
                count(len(block.positions))
        for column in columns:
            column.flush()
    return 8 + len(text) + end
