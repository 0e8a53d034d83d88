"""The outer layer of a `.tight` file: magic, version, header, streams and checksum.

Layout: see `docs/format.md`. Nothing read here is ever executed or imported.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import Any, TypeAlias

from tighten.errors import ArtifactError

Buffer: TypeAlias = bytes | bytearray | memoryview
MAGIC = b"\x93TGT"
VERSION = 3
_CHECKSUM_BYTES = 4
_MOST_HEADER_BYTES = 2**26
_ALLOWANCE = 2**30
_ALLOWANCE_PER_BYTE = 2**14

# What headers are made of: deflate finds these strings without having seen them before. Part of the
# format: any change is a new version. The most common ones stand last, where pointing at them is cheap.
_COMMON = (
    b'"transformer.h.0.attn.c_attn.weight","encoder.layers.0.self_attn.in_proj_weight","decoder.embed_tokens'
    b'"model.layers.0.self_attn.q_proj.weight","k_proj","v_proj","o_proj","mlp.gate_proj","up_proj","down_proj'
    b'"input_layernorm","post_attention_layernorm","lm_head","norm1","norm2","linear1","linear2","embedding'
    b'"classifier.0.weight","classifier.0.bias","features.0.weight","features.0.bias","downsample.0.weight",'
    b'"0.weight","0.bias","2.weight","2.bias","4.weight","4.bias","fc3.weight","fc3.bias","head","stem","shortcut'
    b'"layer1.0.conv1.weight","layer1.0.bn1.weight","layer1.0.bn1.bias","layer1.0.bn1.running_mean",'
    b'"layer1.0.bn1.running_var","layer1.0.bn1.num_batches_tracked","layer1.0.conv2.weight","layer1.0.bn2.weight",'
    b'"layer1.0.bn2.bias","layer1.0.bn2.running_mean","layer1.0.bn2.running_var","layer1.0.bn2.num_batches_tracked",'
    b'"layer2.1.","layer3.2.","layer4.0.","bn1.weight","bn1.bias","bn1.running_mean","bn1.running_var",'
    b'"bn1.num_batches_tracked","fc.weight","fc.bias"],{"model":"tighten.zoo:ResNet20","data":"tighten.data:cifar10",'
    b'"model":"tighten.zoo:DigitsNet","data":"tighten.data:digits",null,true,{"name":"PowerOfTwo","bits":3,"top":-2,'
    b'{"name":"Codebook","levels":[-1.0,-0.5,{"name":"Ternary"},{"name":"Binary","per_channel":true},'
    b'{"name":"FilterSparse","density":0.0},{"name":"ChannelSparse","count":'
    b'{"name":"BlockSparse","block":[4,4],{"name":"NMSparse","n":2,"m":4},{"name":"Uniform","bits":8}'
    b',"interval":0.0[["conv1.weight","conv1.bias","conv2.weight","conv2.bias","fc1.weight","fc1.bias",'
    b'"fc2.weight","fc2.bias"],{"model":"tighten.zoo:LeNet5","data":"tighten.data:mnist",'
    b'"claims":{"accuracy":99.1,"dense":99.5},"sets":{"conv1.weight":[{"name":"Sparse","count":200},'
    b'{"name":"Uniform","bits":4,"zero":false}],"conv2.weight":[{"name":"Sparse","count":600},'
    b'{"name":"Uniform","bits":3,"zero":false}],"fc1.weight":[{"name":"Sparse","count":500},'
    b'{"name":"Uniform","bits":2,"zero":false}],"fc2.weight":[{"name":"Sparse","count":300},'
    b'{"name":"Uniform","bits":2,"zero":false}]}}]'
)


@dataclass(frozen=True)
class Parts:
    """What a file holds, still coded.

    Args:
        header: JSON data: names and facts.
        coded: range-coded bytes.
        raw: raw bytes.
        version: of the format.
    """

    header: Any
    coded: bytes | memoryview
    raw: bytes | memoryview
    version: int = VERSION


def pack(parts: Parts) -> bytes:
    """The bytes of a file."""
    text = json.dumps(parts.header, separators=(",", ":"), allow_nan=False).encode()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, _COMMON)
    header = packer.compress(text) + packer.flush()
    sizes = _varint(len(header)), _varint(len(parts.coded))
    pieces = [MAGIC, bytes([parts.version]), sizes[0], header, sizes[1], parts.coded, parts.raw]
    checksum = 0
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
    return b"".join([*pieces, checksum.to_bytes(_CHECKSUM_BYTES, "little")])


def unpack(data: Buffer) -> Parts:
    """What `pack` was given; the streams are views of `data`.

    Raises:
        ArtifactError: foreign, too new or damaged; the caller adds the file's name.
    """
    data = memoryview(data)
    if data[: len(MAGIC)] != MAGIC or len(data) == len(MAGIC):
        raise ArtifactError("is not a .tight file: it was written by something else, or is cut short")
    version = data[len(MAGIC)]
    if version > VERSION:
        raise ArtifactError(
            f"was written by a newer tighten (format {version}); this one reads up to {VERSION}: "
            "upgrade with pip install --upgrade tighten"
        )
    body, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if version == 0 or zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "little") != checksum:
        raise ArtifactError("is damaged: its checksum does not match; get a good copy")
    size, at = _read_varint(body, len(MAGIC) + 1)
    header, at = _take(body, at, size)
    size, at = _read_varint(body, at)
    coded, at = _take(body, at, size)
    return Parts(json.loads(_inflated(header)), coded, body[at:], version)


def allowance(file_size: int) -> int:
    """How many bytes of tensors a file of this size may claim to hold.

    Far more than any network that is worth a file, far less than what would bring a machine down.
    """
    return _ALLOWANCE + _ALLOWANCE_PER_BYTE * file_size


def _inflated(header: memoryview) -> bytes:
    unpacker = zlib.decompressobj(-15, _COMMON)
    text = unpacker.decompress(header, _MOST_HEADER_BYTES)
    if not unpacker.eof:
        raise ArtifactError(f"is damaged: its header is cut short or longer than {_MOST_HEADER_BYTES} bytes")
    return text


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the high bit says that more follow."""
    out = bytearray()
    while number >= 128:
        out.append(number % 128 + 128)
        number //= 128
    out.append(number)
    return bytes(out)


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    number, place = 0, 0
    while at < len(data) and place < 63:
        byte = data[at]
        number += byte % 128 << place
        at, place = at + 1, place + 7
        if byte < 128:
            return number, at
    raise ArtifactError("is damaged: a length in it has no end")


def _take(data: memoryview, at: int, size: int) -> tuple[memoryview, int]:
    if size > len(data) - at:
        raise ArtifactError(f"is damaged: it announces {size} bytes where {len(data) - at} are left")
    return data[at : at + size], at + size
