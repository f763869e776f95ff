"""The configs and modules that come with Teapot."""
