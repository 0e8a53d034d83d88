"""Docstrings as the reference shows them: what is a word and a colon in them opens a paragraph of its own."""

import re
from typing import Any

import griffe

WORDS = re.compile(r"^(Definition|Projection|Update|Shape|Cost|Source): ", re.MULTILINE)


class Paragraphs(griffe.Extension):
    """Sets the words that our docstrings use in bold, each on a new line."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = WORDS.sub(r"\n**\1.** ", obj.docstring.value)
