"""A compressed network: one small file, exact to the bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Self, TypeAlias

import torch
from torch import Tensor, nn

from tighten.atomic import write_whole
from tighten.codecs import form
from tighten.codecs.entries import Entry, one_by_one
from tighten.codecs.format1.form import code as code_1
from tighten.codecs.format1.stream import Reader as Reader1
from tighten.codecs.promises import Outline, promises
from tighten.codecs.stream import Reader, Writer
from tighten.codes import Code
from tighten.container import Buffer, Parts, allowance, pack, unpack
from tighten.errors import ArtifactError
from tighten.sizes import SiteSizes, Sizes

__all__ = ["Artifact", "SiteSizes", "Sizes", "load", "state_dict"]

_LONGEST = 300

Seen: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, eq=False, repr=False)
class Artifact:
    """A state dict whose constrained tensors are codes.

    Args:
        codes: constrained sites, state-dict name to code.
        rest: all other tensors of the state dict, as they are.
        order: all names in the order of the state dict.
        aliases: tied tensors, name to the name under which the tensor is stored once.
        meta: small facts as JSON data: the model's import path, the sets, claims.
        fingerprint: of the names and shapes, where the names are left out; then entries are named "0", "1", ...
    """

    codes: dict[str, Code]
    rest: dict[str, Tensor]
    order: tuple[str, ...]
    aliases: dict[str, str]
    meta: dict[str, Any]
    fingerprint: str | None = None

    @classmethod
    def of(cls, state: Mapping[str, Tensor], codes: Mapping[str, Code], meta: Mapping[str, Any]) -> Self:
        """The artifact of a state dict and the codes of its constrained tensors.

        Tied tensors (the same memory under several names) are stored once, under the name that has a
        code, else under the first.

        Raises:
            ArtifactError: a code has no tensor in `state` or differs from it, a tensor cannot be stored,
                or `meta` is not JSON data.
        """
        for name in codes:
            if name not in state:
                raise ArtifactError(f"site '{name}' has a code but no tensor: give a name of the state dict")
        for name, value in state.items():
            if not isinstance(value, Tensor) or value.layout is not torch.strided or value.is_meta:
                kind = f"{value.layout} tensor on {value.device}" if isinstance(value, Tensor) else type(value).__name__
                raise ArtifactError(f"'{name}' is a {kind}: only plain tensors can be stored, take it out of the state")
            if name in codes:
                _check_same(name, codes[name], value)
        aliases = _aliases(state, codes)
        rest = {n: t.detach().cpu().clone() for n, t in state.items() if n not in codes and n not in aliases}
        stored = {name: code for name, code in codes.items() if name not in aliases}
        return cls(stored, rest, tuple(state), aliases, _json_data(meta))

    def without_names(self) -> Self:
        """The same without names, for a smaller file: `load` finds them in the model, by a fingerprint."""
        shapes = {name: tuple(self._held(name).shape) for name in self.order}
        return self._renamed([str(i) for i in range(len(self.order))], fingerprint(shapes))

    def with_names(self, shapes: Mapping[str, tuple[int, ...]]) -> Self:
        """The same with the names of a model.

        Args:
            shapes: its state dict's names and shapes, in order.

        Raises:
            ArtifactError: they are not those of the model that was saved.
        """
        if self.fingerprint is None:
            return self
        if (found := fingerprint(shapes)) != self.fingerprint:
            raise ArtifactError(
                f"holds no names, and its fingerprint {self.fingerprint} is of other names and shapes than the model's "
                f"({found}): build the model that was saved"
            )
        return self._renamed(list(shapes), None)

    def __repr__(self) -> str:
        made = f" of {self.meta['model']}" if isinstance(self.meta.get("model"), str) else ""
        return (
            f"Artifact{made}: {len(self.codes)} constrained tensors, {len(self.rest)} as they are; "
            f"tighten.report.report(artifact) counts what is kept and what it costs"
        )

    def state_dict(self) -> dict[str, Tensor]:
        """The whole state dict, in its order, every tensor bit for bit; tied names share one tensor."""
        tensors = {**self.rest, **{name: code.dense() for name, code in self.codes.items()}}
        return {name: tensors[self.aliases.get(name, name)] for name in self.order}

    def to_bytes(self) -> bytes:
        """The bytes of the file."""
        return self._packed()[0]

    def sizes(self) -> Sizes:
        """Exact bytes on disk, split. Cost: that of writing the file."""
        return self._packed()[1]

    def save(self, path: str | Path) -> Sizes:
        """Writes the file whole or not at all, and says what each part of it costs.

        Raises:
            ArtifactError: the file cannot be written; what was there before is untouched.
        """
        data, sizes = self._packed()
        try:
            write_whole(Path(path), data)
        except OSError as error:
            why = error.strerror or error
            raise ArtifactError(f"'{path}' cannot be written ({why}): choose another path or make room") from error
        return sizes

    @classmethod
    def open(cls, path: str | Path, seen: Seen | None = None) -> Self:
        """The artifact in a file. Nothing in the file is executed or imported.

        Args:
            path: a `.tight` file.
            seen: called after each tensor, with how many are done and how many there are.

        Raises:
            ArtifactError: the file is missing, foreign, damaged, or written by a newer tighten.
        """
        return cls.from_bytes(_bytes_of(path), str(path), seen)

    @classmethod
    def from_bytes(cls, data: Buffer, name: str = "<bytes>", seen: Seen | None = None) -> Self:
        """The artifact that `to_bytes` wrote; `name` is for messages.

        Raises:
            ArtifactError: as `open`.
        """
        entries: dict[str, Entry] = {}
        order, meta, print_ = _decoded(data, name, entries.__setitem__, seen)
        codes = {key: value for key, value in entries.items() if not isinstance(value, Tensor | str)}
        rest = {key: value for key, value in entries.items() if isinstance(value, Tensor)}
        aliases = {key: value for key, value in entries.items() if isinstance(value, str)}
        return cls(codes, rest, order, aliases, meta, print_)

    def _held(self, name: str) -> Code | Tensor:
        """What is stored under this name, or under the name to which it is tied."""
        holder = self.aliases.get(name, name)
        return self.codes[holder] if holder in self.codes else self.rest[holder]

    def _renamed(self, names: list[str], fingerprint: str | None) -> Self:
        new = dict(zip(self.order, names, strict=True))
        meta = dict(self.meta)
        if isinstance(sets := meta.get("sets"), dict):
            meta["sets"] = {new.get(name, name): value for name, value in sets.items()}
        return replace(
            self,
            codes={new[name]: code for name, code in self.codes.items()},
            rest={new[name]: tensor for name, tensor in self.rest.items()},
            order=tuple(names),
            aliases={new[name]: new[holder] for name, holder in self.aliases.items()},
            meta=meta,
            fingerprint=fingerprint,
        )

    def _packed(self) -> tuple[bytes, Sizes]:
        writer = Writer()
        given: dict[str, Entry] = {**self.codes, **self.rest, **self.aliases}
        for _ in one_by_one(writer, self.order, given, form.code):
            pass
        # As a reader finds them: in the order of the state dict.
        codes = {name: Outline.of(self.codes[name]) for name in self.order if name in self.codes}
        facts = dict(self.meta)
        if isinstance(sets := facts.get("sets"), dict):
            told = promises(writer, sets, codes)
            facts["sets"] = {name: value for name, value in sets.items() if name not in told}
            if not facts["sets"] and told:
                del facts["sets"]
        else:
            promises(writer, {}, codes)
        writer.mark("header")
        coded, raw = writer.finish()
        names = list(self.order) if self.fingerprint is None else [len(self.order), self.fingerprint]
        data = pack(Parts([names, facts], coded, raw))
        if writer.claimed > allowance(len(data)):
            raise ArtifactError(
                f"{writer.claimed} bytes of tensors come to a file of {len(data)}, which no reader would trust: "
                "leave out tensors that are all zero"
            )
        return data, Sizes.of(len(data), writer.booked(), self.codes)


def load(path: str | Path, model: nn.Module, strict: bool = True) -> Artifact:
    """Decodes a file into a model, by one `model.load_state_dict` for each module; returns the artifact.

    Beside the model and the artifact never are there more than one module's tensors in memory.

    Args:
        path: a `.tight` file.
        model: a model of the same architecture.
        strict: whether the names must be the same; shapes and types must be in any case.

    Raises:
        ArtifactError: as `Artifact.open`, or the model is another one; then it is untouched.
    """
    artifact, own = Artifact.open(path), model.state_dict()
    try:
        artifact = artifact.with_names({name: tuple(value.shape) for name, value in own.items()})
    except ArtifactError as error:
        raise ArtifactError(f"'{path}' {error}") from error
    held = {name: artifact._held(name) for name in artifact.order}
    wrong = [
        f"{name} is {_kind(value)} in the file and {_kind(own[name])} in the model"
        for name, value in held.items()
        if name in own and _kind(value) != _kind(own[name])
    ]
    if strict:
        wrong += [f"{name} is missing in the model" for name in held if name not in own]
        wrong += [f"{name} is missing in the file" for name in own if name not in held]
    if wrong:
        more = f", and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        fix = f"build {artifact.meta['model']}" if "model" in artifact.meta else "build the model that was saved"
        raise ArtifactError(f"'{path}' does not fit {type(model).__name__}: {', '.join(wrong[:5])}{more}; {fix}")
    for _, names in groupby(held, key=lambda name: name.rpartition(".")[0]):
        model.load_state_dict({name: _dense(held[name]) for name in names}, strict=False)
    return artifact


def _dense(value: Code | Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else value.dense()


def state_dict(path: str | Path, seen: Seen | None = None) -> dict[str, Tensor]:
    """The state dict in a file, decoded tensor by tensor: never is there more than one code beside it.

    Args:
        path: a `.tight` file.
        seen: as for `Artifact.open`.

    Raises:
        ArtifactError: as `Artifact.open`.
    """
    tensors: dict[str, Tensor] = {}
    ties: dict[str, str] = {}

    def take(name: str, entry: Entry) -> None:
        if isinstance(entry, str):
            ties[name] = entry
        else:
            tensors[name] = _dense(entry)

    order, _, _ = _decoded(_bytes_of(path), str(path), take, seen)
    return {name: tensors[ties.get(name, name)] for name in order}


def _bytes_of(path: str | Path) -> memoryview:
    try:
        data = bytearray(Path(path).stat().st_size)
        with Path(path).open("rb") as file:
            return memoryview(data)[: file.readinto(data)]
    except OSError as error:
        raise ArtifactError(f"'{path}' cannot be read ({error.strerror or error}): give a .tight file") from error


def _decoded(
    data: Buffer, name: str, take: Callable[[str, Entry], None], seen: Seen | None
) -> tuple[tuple[str, ...], dict[str, Any], str | None]:
    """Order, facts and fingerprint; each entry is handed over as soon as it is there."""
    try:
        parts = unpack(data)
    except ArtifactError as error:
        raise ArtifactError(f"'{name}' {error}") from error
    except Exception as error:
        raise ArtifactError(
            f"'{name}' is damaged: its header cannot be read ({_short(error)}); get a good copy"
        ) from error
    try:
        reader: Reader | Reader1
        if parts.version == 1:
            reader, code = Reader1(bytes(parts.coded), bytes(parts.raw), allowance(len(data))), code_1
        else:
            reader = Reader(parts.coded, parts.raw, allowance(len(data)), paced=parts.version > 2)
            code = form.code
        order, meta, print_ = _header(parts.header, len(data))
        outlines: dict[str, Outline] = {}
        for done, (key, entry) in enumerate(one_by_one(reader, order, None, code), 1):
            take(key, entry)
            if not isinstance(entry, Tensor | str):
                outlines[key] = Outline.of(entry)
            if seen is not None:
                seen(done, len(order))
        if parts.version > 1 and (told := promises(reader, None, outlines)):
            meta["sets"] = told | _sets(meta)
        reader.finish()
    except Exception as error:
        # The checksum holds, so this was made on purpose: whatever the decoders trip over is the file's fault.
        raise ArtifactError(f"'{name}' is damaged: {_short(error)}; get a good copy") from error
    return order, meta, print_


def _short(error: Exception) -> str:
    """What an error says, as far as a reader wants to know: damaged files may hold names of any length."""
    said = str(error) or type(error).__name__
    return said if len(said) <= _LONGEST else said[:_LONGEST] + "..."


def fingerprint(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Eight hexadecimal digits that other names or shapes hardly ever share."""
    text = json.dumps([[name, list(shape)] for name, shape in shapes.items()], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _header(data: Any, file_size: int) -> tuple[tuple[str, ...], dict[str, Any], str | None]:
    match data:
        case [[int(count), str(print_)], dict(meta)]:
            # Each entry takes at least a bit of the coded stream, or nearly so.
            if not 0 <= count <= 64 * file_size:
                raise ArtifactError(f"its header announces {count} tensors in {file_size} bytes")
            return tuple(str(i) for i in range(count)), dict(meta), print_
        case [list(order), dict(meta)] if all(isinstance(name, str) for name in order):
            if len(set(order)) < len(order):
                raise ArtifactError("its header names a tensor twice")
            return tuple(order), dict(meta), None
    raise ArtifactError("its header is not a list of names and a dictionary of facts")


def _sets(meta: Mapping[str, Any]) -> dict[str, Any]:
    sets = meta.get("sets", {})
    if not isinstance(sets, dict):
        raise ArtifactError("its header has promises in another form than a dictionary")
    return sets


def _aliases(state: Mapping[str, Tensor], codes: Mapping[str, Code]) -> dict[str, str]:
    groups: dict[tuple[object, ...], list[str]] = {}
    for name, value in state.items():
        if value.numel():
            memory = (value.device, value.data_ptr(), value.dtype, tuple(value.shape), value.stride())
            groups.setdefault(memory, []).append(name)
    aliases = {}
    for names in groups.values():
        holder = next((name for name in names if name in codes), names[0])
        aliases.update({name: holder for name in names if name != holder})
    return aliases


def _check_same(name: str, code: Code, value: Tensor) -> None:
    try:
        form.check(code)
    except ArtifactError as error:
        raise ArtifactError(f"the code of site '{name}' {error}") from error
    dense = code.dense()
    if _kind(dense) != _kind(value):
        raise ArtifactError(
            f"the code of site '{name}' is {_kind(dense)}, its tensor is {_kind(value)}: fit the code to this tensor"
        )
    differ = int((_bytes(dense) != _bytes(value)).any(dim=1).sum())
    if differ:
        raise ArtifactError(
            f"the code of site '{name}' differs from its tensor in {differ} of {value.numel()} entries: "
            "copy code.dense() into the tensor before saving"
        )


def _bytes(value: Tensor) -> Tensor:
    """`[entries, bytes]`; compared instead of values, so that NaN and the sign of zero count."""
    flat = value.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).reshape(flat.numel(), value.dtype.itemsize)


def _kind(value: Code | Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"


def _json_data(meta: Mapping[str, Any]) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(json.dumps(dict(meta), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(f"meta is not JSON data ({error}): give strings, finite numbers, lists, dicts") from error
    return data
