"""Events and texts in, something to look at out. The only place that knows rich and tqdm."""
