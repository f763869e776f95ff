"""JSON Schemas (2020-12) of every format that Teapot reads or writes."""
