"""What is done with models that give labels: predicted, counted, and compared with what needs no model."""
