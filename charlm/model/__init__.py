"""Ids in, logits and state out. Knows nothing of characters, files or training."""
