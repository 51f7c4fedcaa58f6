"""Speed and quality, one script per question: `python -m benchmarks.NAME`. RESULTS.md has their results."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the charlm command sets it, and before NumPy is loaded
