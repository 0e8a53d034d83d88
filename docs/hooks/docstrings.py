"""Docstrings as the reference shows them: what is a word and a colon in them opens a paragraph of its own."""

import re
from typing import Any

import griffe

WORDS = re.compile(r"^(Definition|Projection|Update|Shape|Cost|Source): ", re.MULTILINE)


TOGETHER = re.compile(r"^( +)(\w+(?:, \w+)+): ", re.MULTILINE)


def _each(match: re.Match[str]) -> str:
    """Arguments that are said together, each on a line: the others point to the last one, which has the words."""
    *others, last = match[2].split(", ")
    return "".join(f"{match[1]}{name}: together with `{last}`.\n" for name in others) + f"{match[1]}{last}: "


class Paragraphs(griffe.Extension):
    """Sets the words that our docstrings use in bold, each on a new line."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            before, args, after = obj.docstring.value.partition("\nArgs:\n")
            obj.docstring.value = WORDS.sub(r"\n**\1.** ", before) + args + TOGETHER.sub(_each, after)
