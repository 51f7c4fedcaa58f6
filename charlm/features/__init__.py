"""A text in, labels out: what a unit could be tracking. Knows no model, and does without torch."""
