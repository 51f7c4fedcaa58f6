"""A text in, labels out: what a unit could be tracking. Knows no model, and does not need torch.

spans.py     where things begin, last and end, as arrays over a text
code.py      features of source code; plain.py, those that need no grammar; prose.py, those of writing
registry.py  what a feature is, all built-in ones, and how users define their own
labels.py    a text's features as levels, a volume at a time
"""
