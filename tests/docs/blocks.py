"""The code blocks of the pages, and what a page says of how they are run.

A comment above a block says what is special about it, in words with commas between:

    <!-- test: slow -->              left out of the default run
    <!-- test: data -->              needs MNIST, and is slow
    <!-- test: needs PACKAGE -->     needs a package, and is skipped without it
    <!-- test: file NAME -->         is not run, but is the content of a file that later blocks use
    <!-- test: fails MESSAGE -->     ends with this message of a TightenError
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"(?:^<!-- test: (?P<marks>.*?) -->\n)?^(?P<indent> *)```(?P<language>\S*)\n(?P<text>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
SHOWN = {"text", "math"}
"""Languages of blocks that are only to be read."""
RUN = {"python", "shell", "toml", "c"}


@dataclass(frozen=True)
class Block:
    """One block.

    Args:
        page: its page, seen from the repository.
        line: number of its first line there.
        language: after the fence.
        text: what stands inside.
        marks: what the comment above it says, a word and the rest of it.
    """

    page: str
    line: int
    language: str
    text: str
    marks: dict[str, str]

    @property
    def slow(self) -> bool:
        return "slow" in self.marks or "data" in self.marks


def blocks(path: Path) -> list[Block]:
    """All blocks of a page, in order."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        said = match["marks"] or ""
        marks = [said] if said.startswith("fails ") else [mark.strip() for mark in said.split(",") if mark.strip()]
        inside = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
        found.append(
            Block(
                page=path.relative_to(ROOT).as_posix(),
                line=text.count("\n", 0, match.start("text")) + 1,
                language=match["language"],
                text=inside,
                marks=dict((*mark.split(" ", 1), "")[:2] for mark in marks),
            )
        )
    return found
