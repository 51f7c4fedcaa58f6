"""Speed and quality, one script a question: `python -m benchmarks.NAME`. What they gave is in RESULTS.md."""
