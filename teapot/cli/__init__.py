"""The command line: a command parses, calls one use case and shows its value."""

from teapot.cli.app import main

__all__ = ["main"]
