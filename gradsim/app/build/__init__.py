"""Building the stack: cards, palette, forms, the panel of the run."""
