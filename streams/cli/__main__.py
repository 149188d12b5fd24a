"""`python -m streams.cli`: the same as the command `rekindle`, for processes we start ourselves."""

from streams.cli import main

main()
