"""What a model can be trained for, one module a task. No task imports another; the training loop knows none of them."""
