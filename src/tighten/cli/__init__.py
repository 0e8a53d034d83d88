"""The command line."""

from tighten.cli.app import main

__all__ = ["main"]
