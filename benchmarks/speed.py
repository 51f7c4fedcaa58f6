"""Does one machine always get one recipe? Measures its speed in many processes, and shows the recipe of each for some limits.

    python -m benchmarks.speed [--runs 20] [--characters 1003854]

The first process has no earlier run to go by; each later speed is rounded with regard to the one before it.
"""

import argparse
import subprocess
import sys
import time
from statistics import median

from benchmarks.machine import describe_machine
from charlm.config import End, ModelConfig, TrainConfig
from charlm.recipe import Wish, choose, coarse

LIMITS = {"2s": 2.0, "10s": 10.0, "60s": 60.0, "none": None}
MEASURE = """
import time, torch
from charlm.config import ModelConfig, TrainConfig
from charlm.machine import set_threads
from charlm.model.devices import pick_device, pick_precision
from charlm.runs.speed import MOST_SECONDS, SHARE, measured_speed
set_threads(0)
device = pick_device("auto")
seconds = min(MOST_SECONDS, SHARE * {limit})
began = time.perf_counter()
speed = measured_speed(ModelConfig(), TrainConfig(), device, pick_precision("auto", device), seconds)
print(speed.characters, time.perf_counter() - began)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--characters", type=int, default=1_003_854)
    options = parser.parse_args()
    print(describe_machine(), flush=True)
    for name, limit in LIMITS.items():
        speeds, seconds, shapes, before = [], [], [], None
        for _ in range(options.runs):
            code = MEASURE.format(limit=limit or 300.0)
            out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
            speeds.append(float(out[0]))
            seconds.append(float(out[1]))
            before = coarse(speeds[-1], before)
            wish = Wish(model=ModelConfig(), training=TrainConfig(), end=End("seconds", limit))
            recipe = choose(wish, options.characters, speed=before)
            shapes.append(f"{recipe.model.num_layers} x {recipe.model.hidden_size} at {before:,.0f} characters/s")
            time.sleep(0.1)
        most = max(shapes, key=shapes.count)
        print(
            f"--max-time {name}: {median(speeds):,.0f} characters/s ({min(speeds):,.0f} to {max(speeds):,.0f}), measured in "
            f"{median(seconds):.2f} s ({max(seconds):.2f} at the most); {shapes.count(most)} of {len(shapes)}: {most}",
            flush=True,
        )


if __name__ == "__main__":
    main()
