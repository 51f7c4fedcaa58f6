"""Speed and quality, one script a question: `python -m benchmarks.NAME`. What they gave is in RESULTS.md."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is loaded, and as the command has it
