"""`python -m teapot` is `teapot`."""

from teapot.cli import main

main()
