"""The version of Teapot, which every manifest names."""

__version__ = "0.1.0"
