"""Formulas of the pages as MathML, which browsers draw by themselves.

Written as GitHub reads them, too: a block fenced as `math`, or `$` around back quotes inside a line.
"""

import re
from typing import Any

from latex2mathml.converter import convert

BLOCK = re.compile(r"^```math\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"\$`([^`\n]+)`\$")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The text of a page with its formulas replaced."""
    markdown = BLOCK.sub(lambda m: f'<div class="formula">{convert(m[1].strip(), display="block")}</div>', markdown)
    # Within a span: a line that begins with a formula would end the paragraph.
    return INLINE.sub(lambda m: f"<span>{convert(m[1])}</span>", markdown)
