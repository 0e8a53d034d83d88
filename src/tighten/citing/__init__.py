"""The references for what a run, a file or a recipe used."""

from tighten.citing.cite import Citations, cite
from tighten.citing.reference import Reference
from tighten.citing.sources import REFERENCES, cited_in

__all__ = ["REFERENCES", "Citations", "Reference", "cite", "cited_in"]
