"""The use cases: one per command, each a function over values that edges and pure code provide."""
