"""What a model can be trained for, one module a task; none imports another, and the training loop knows none of them."""
