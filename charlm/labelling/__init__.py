"""Labels predicted and judged, for a text or each of its characters. Knows texts and models; not training, files or screens."""
