"""Shows events and texts to people. The only package that knows rich and tqdm."""
