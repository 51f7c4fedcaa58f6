"""A model and a text in, findings out: which units track something, whether it holds, and whether the model uses it."""
