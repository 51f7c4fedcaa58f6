"""Windows in, events out. Knows nothing of files, screens or the clock on the wall."""
