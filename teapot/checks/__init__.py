"""Checks of records, one per file; a third party registers its own under `teapot.checks`."""
