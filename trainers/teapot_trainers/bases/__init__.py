"""The bases that come with Teapot: a folder each, built as a third party's package would be."""
