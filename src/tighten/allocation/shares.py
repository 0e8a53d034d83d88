"""Shares: an allocation as a thing to print, save, edit by hand and give back."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from tighten.allocation.evidence import Evidence
from tighten.allocation.share import Share
from tighten.atomic import write_whole
from tighten.errors import PlanError
from tighten.sets import Set, Sparse, Uniform
from tighten.sites import Selector
from tighten.suggest import nearest

HEADER = """\
# What each site keeps: `count` of its `of` entries, each in `bits` bits (free float32 where bits is left out).
# Change count and bits as you like, and give the file back: shares = "..." in a stage of a recipe.
"""
KEYS = ("count", "of", "bits")


@dataclass(frozen=True)
class Shares(Mapping[str, Share]):
    """What every site may keep, by name.

    Args:
        sites: the share of each site.
        where: what messages call these shares, such as the file that they come from.

    Raises:
        PlanError: there is no site.
    """

    sites: Mapping[str, Share]
    where: str = field(default="the shares", compare=False)

    def __post_init__(self) -> None:
        if not self.sites:
            raise PlanError(f"{self.where} name no site: compute them with `tighten allocate`")

    @classmethod
    def of(
        cls, counts: Mapping[str, int], sites: Mapping[str, Evidence], bits: Mapping[str, int] | None = None
    ) -> Shares:
        """The shares that a rule gave: `Shares.of(lamp(sites, 1000), sites)`.

        Args:
            counts: kept entries of each site.
            sites: what the rule judged by.
            bits: of the values of each site, where they are to be quantized.
        """
        found = {}
        for name, count in counts.items():
            try:
                found[name] = Share(count, sites[name].size, (bits or {}).get(name))
            except PlanError as error:
                raise PlanError(f"the share of '{name}' has {error}") from error
        return cls(found)

    @classmethod
    def load(cls, path: str | Path) -> Shares:
        """The shares in a file that `save` wrote and that may have been edited.

        Raises:
            PlanError: no such file, no TOML, or a share that cannot be.
        """
        where = f"the shares '{path}'"
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"{where} cannot be read ({error}): make them with `tighten allocate ... --out`") from error
        except tomllib.TOMLDecodeError as error:
            raise PlanError(f"{where} are not valid TOML: {error}; {_form()}") from error
        return cls({name: _share(where, name, table) for name, table in data.items()}, where)

    def save(self, path: str | Path) -> None:
        """The shares in a small TOML file, one line a site.

        Raises:
            PlanError: the file cannot be written.
        """
        lines = [f"{json.dumps(name, ensure_ascii=False)} = {{ {_inside(share)} }}\n" for name, share in self.items()]
        try:
            write_whole(Path(path), (HEADER + "".join(lines)).encode())
        except OSError as error:
            why = error.strerror or error
            raise PlanError(f"'{path}' cannot be written ({why}): choose another file") from error

    def __getitem__(self, name: str) -> Share:
        return self.sites[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.sites)

    def __len__(self) -> int:
        return len(self.sites)

    def supports(self) -> dict[str, Set]:
        """The sets of a stage that prunes: `Stage(shares.supports(), Admm(), epochs=10)`."""
        return {name: Sparse(count=share.count) for name, share in self.items()}

    def levels(self) -> dict[str, Set]:
        """The sets of a stage that quantizes what was pruned before; sites without bits are left out."""
        return {name: Uniform(share.bits, zero=False) for name, share in self.items() if share.bits is not None}

    def sets(self) -> dict[str, Set]:
        """The sets of a stage that prunes and quantizes at once."""
        levels = self.levels()
        return {name: s & levels[name] if name in levels else s for name, s in self.supports().items()}

    def check(self, model: nn.Module, names: list[str] | None = None) -> None:
        """Nothing, where the shares fit a model.

        Args:
            model: the network.
            names: the sites to look at; all of them where not given.

        Raises:
            PlanError: the model lacks a site, or has one of another size.
        """
        sizes = {name: p.numel() for name, p in model.named_parameters()}
        for name in self if names is None else names:
            kind = type(model).__name__
            if name not in sizes:
                raise PlanError(
                    f"{self.where} name '{name}', which {kind} does not have{nearest(name, sizes)}; "
                    f"it has {', '.join(sizes)}"
                )
            if sizes[name] != self[name].of:
                raise PlanError(
                    f"{self.where} say of = {self[name].of} for '{name}', which has {sizes[name]} entries in {kind}: "
                    f"compute them for this model, or write of = {sizes[name]} and a count to suit"
                )

    def selector(self, name: str) -> Selector:
        """A selector of one site that checks its share against the model."""
        return partial(_checked, self, name)

    def __str__(self) -> str:
        wide = max(len(name) for name in [*self, "all sites"])
        lines = [_line(wide, "site", ("weights", "kept", "density", "rate", "bits", "bytes"))]
        lines += [_line(wide, name, _cells(s.of, s.count, s.bits, s.coded_bits)) for name, s in self.items()]
        every = list(self.values())
        total, kept = sum(s.of for s in every), sum(s.count for s in every)
        mean = None if any(s.bits is None for s in every) else sum(s.count * (s.bits or 0) for s in every) / kept
        lines.append(_line(wide, "all sites", _cells(total, kept, mean, sum(s.coded_bits for s in every))))
        return "\n".join(lines)


def _checked(shares: Shares, name: str, model: nn.Module) -> list[str]:
    shares.check(model, [name])
    return [name]


def _share(where: str, name: str, table: Any) -> Share:
    if not isinstance(table, dict):
        raise PlanError(f"{where}: '{name}' is {table!r}; {_form(name)}")
    for key in table:
        if key not in KEYS:
            raise PlanError(f"{where}: unknown key '{key}' of '{name}'{nearest(key, KEYS)}; valid: {', '.join(KEYS)}")
    for key in KEYS[:2]:
        if key not in table:
            raise PlanError(f"{where}: '{name}' has no {key}; {_form(name)}")
    try:
        return Share(**table)
    except PlanError as error:
        raise PlanError(f"{where}: '{name}' has {error}") from error


def _form(name: str = "fc1.weight") -> str:
    return f'write "{name}" = {{ count = 50, of = 1000, bits = 4 }}'


def _inside(share: Share) -> str:
    return ", ".join(f"{key} = {value}" for key in KEYS if (value := getattr(share, key)) is not None)


def _cells(of: int, count: int, bits: float | None, coded: float) -> tuple[str, ...]:
    return (
        f"{of:,}",
        f"{count:,}",
        f"{100 * count / of:.2f} %",
        f"{of / count:.1f}x",
        "free" if bits is None else f"{bits:.3g}",
        f"{math.ceil(coded / 8):,}",
    )


def _line(wide: int, name: str, cells: tuple[str, ...]) -> str:
    widths = (12, 10, 11, 9, 6, 10)
    return name.ljust(wide) + "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
