"""Features are of texts alone."""

import subprocess
import sys

EVERYTHING = "import charlm.features.registry, charlm.features.labels"


def test_features_load_neither_torch_nor_a_model():
    """All of `charlm.features`, imported in a new process, brings in no torch and nothing of charlm that knows a model."""
    script = f"{EVERYTHING}; import sys; print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split())
    assert {f"charlm.features.{name}" for name in ("spans", "code", "quotes", "prose", "registry", "labels")} <= loaded
    assert "torch" not in loaded
    mine = {name.split(".")[1] for name in loaded if name.startswith("charlm.")}
    assert mine == {"features", "text", "errors"}
