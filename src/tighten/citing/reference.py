"""One publication."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """A paper, report or data set.

    Args:
        key: of its BibTeX entry.
        marks: what docstrings call it by, such as its arXiv number; one of them in a `Source:` is enough.
        title: in full.
        authors: "First Last", in their order.
        year: of the version that is meant.
        where: journal, conference or publisher; empty for what is on arXiv alone.
        arxiv: number there.
        kind: of the BibTeX entry.
    """

    key: str
    marks: tuple[str, ...]
    title: str
    authors: tuple[str, ...]
    year: int
    where: str = ""
    arxiv: str = ""
    kind: str = "article"

    def plain(self) -> str:
        """One line to read."""
        named = self.authors if len(self.authors) <= 6 else (*self.authors[:1], "others")
        people = " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))
        places = [self.where, f"arXiv {self.arxiv}" if self.arxiv else "", str(self.year)]
        return f'{people}: "{self.title}", {", ".join(filter(None, places))}.'

    def bibtex(self) -> str:
        """The entry of a bibliography."""
        places = {"inproceedings": "booktitle", "misc": "howpublished", "techreport": "institution"}
        place = places.get(self.kind, "journal")
        fields = {"title": f"{{{self.title}}}", "author": " and ".join(self.authors), "year": str(self.year)}
        fields[place] = self.where or f"arXiv preprint arXiv:{self.arxiv}"
        if self.arxiv:
            fields |= {"eprint": self.arxiv, "archivePrefix": "arXiv"}
        inside = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@{self.kind}{{{self.key},\n{inside}\n}}"
