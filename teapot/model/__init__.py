"""Frozen values: what crosses the borders between functions."""
