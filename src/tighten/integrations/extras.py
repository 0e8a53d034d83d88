"""Libraries that come with an extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tighten.errors import DataError, TrainingError
from tighten.torchvision_ops import import_torchvision


@contextmanager
def needed(package: str) -> Iterator[None]:
    """The import of a library, with a word on how to install it where it is missing.

    Args:
        package: its name, which is that of the extra, too.

    Raises:
        TrainingError: it is not installed.
    """
    # These libraries import torchvision where it is installed, and some builds of that need help.
    with suppress(DataError):
        import_torchvision()
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise TrainingError(f"the package '{package}' is not installed: pip install 'tighten[{package}]'") from error
