"""Yesterday's composition, genuine in every byte, is handed over as today's."""

# Nothing is to be done: the command expects another manifest than the genuine one that lies there.
