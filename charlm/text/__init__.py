"""Text in, windows of ids out. Knows nothing of models."""
