"""The command line: one small module per group of verbs, each of which parses, calls and prints."""

from optimizer.cli.main import main

__all__ = ["main"]
