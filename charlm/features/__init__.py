"""A text in, labels out: what a unit could be tracking. Knows no model, and does not need torch.

spans.py      where things begin, last and end, as arrays over a text
languages.py  the marks of each language: comments, strings, conditions; kinds.py, which language a text is in
parts.py      a text in parts, each in one language
code.py       features of source code, and what of a text is writing
quotes.py     quotation marks; markup.py, tags; prose.py, other features of writing; plain.py, those that need no grammar
registry.py   what a feature is, all built-in ones, and how users define their own
labels.py     a text's features as levels, a volume at a time
"""
