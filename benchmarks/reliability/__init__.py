"""Is nothing lost, and nothing let in? One figure a promise; `python -m benchmarks.reliability` prints them all."""
