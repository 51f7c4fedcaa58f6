"""A model and a text in, findings out: which units track a feature, whether that holds, and whether the model uses it."""
