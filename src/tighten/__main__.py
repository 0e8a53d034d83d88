"""`python -m tighten`."""

from tighten.cli import main

main()
