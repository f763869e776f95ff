"""Source plug-ins, one kind of place per file; a third party registers its own."""
