"""Is nothing lost, and nothing let in? One figure per promise; `python -m benchmarks.reliability` prints them all."""
