"""Sets of a stage with the numbers that a file of shares gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from tighten.allocation import Share, Shares
from tighten.errors import RecipeError
from tighten.sets import Intersection, Set, Uniform
from tighten.sites import Selector


def with_shares(sets: Mapping[Selector, Set], shares: Shares) -> dict[Selector, Set]:
    """The sets of a stage, each site in the shares with its own numbers.

    A site takes the last set whose name or pattern matches it. Where that set is open, the share's count closes it;
    where it is `Uniform`, alone or on a support, and the share has bits, these take the place of its own. Sites
    that are not in the file keep the set as it stands, and sites of the file that no set matches are not the
    stage's. When the model is known, each site and its size are checked.

    Args:
        sets: by name or pattern, as a recipe has them.
        shares: of single sites.

    Raises:
        RecipeError: no set matches any of the sites.
    """
    filled = dict(sets)
    matched = False
    for name, share in shares.items():
        matching = [s for key, s in sets.items() if isinstance(key, str) and fnmatchcase(name, key)]
        if matching:
            matched = True
            filled[shares.selector(name)] = _filled(matching[-1], share)
    if not matched:
        wanted = ", ".join(map(str, sets)) or "nothing"
        raise RecipeError(
            f"{shares.where} name {', '.join(shares)}, and the stage's sets are for {wanted}: "
            f'write sets = {{ "*" = {{ name = "Sparse" }} }}'
        )
    return filled


def _filled(s: Set, share: Share) -> Set:
    if s.is_open:
        s = s.with_count(share.count)
    if share.bits is None:
        return s
    if isinstance(s, Uniform):
        return replace(s, bits=share.bits)
    if isinstance(s, Intersection) and isinstance(s.levels, Uniform):
        return replace(s, levels=replace(s.levels, bits=share.bits))
    return s
