"""What an image file says about itself, read before a single pixel is decoded.

Owns the recognition of JPEG, PNG, BMP and TIFF by content, their size, and whether the file is whole.
Decodes nothing. Nothing here is allocated in proportion to a size that a header claims, so a bomb of a
few bytes costs a few microseconds.

Damage is looked for here, although the vendor libraries would find much of it, for two reasons: they
print to standard error from C, where no log level reaches them, and they fill what is missing with grey
and call it an image.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

MAX_PIXELS = 40_000_000
"""The largest image that is decoded: 120 MB of RGB, above any line camera's crop."""
MAX_BYTES = 256 * 1024 * 1024
"""The largest file that is looked at: `MAX_PIXELS` of uncompressed 16-bit RGB still fit."""

_JPEG_STANDALONE = frozenset((0x00, 0x01, *range(0xD0, 0xD9)))
_JPEG_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_END = 0xD9
_JPEG_SCAN = 0xDA

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_PIXEL_CHUNKS = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND"))

_TIFF_INTEGERS: Mapping[int, str] = MappingProxyType(
    {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
)
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_ORIENTATION, _TIFF_SAMPLES = 256, 257, 258, 274, 277
_TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT, _TIFF_EXTRA_SAMPLES = 322, 323, 338
_TIFF_NEEDED = frozenset((256, 257, 258, 274, 277, 322, 323, 338))


class Undecodable(ValueError):  # noqa: N818 - a bad frame is an answer, not a user's mistake
    """Bytes that are no image we read; `reason` is short and says what was seen."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """A file that is whole as far as its container tells."""

    format: str
    """`JPEG`, `PNG`, `BMP` or `TIFF`."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    data: bytes
    """What to decode: the file, less the parts that must not change its pixels."""


def read_header(data: bytes) -> ImageHeader:
    """Recognise the file and read its size; raises Undecodable.

    Costs about 5 us for a JPEG of any size, and a pass of CRC-32 (about 1 GB/s) for a PNG.
    """
    if not data:
        raise Undecodable("empty file")
    if len(data) > MAX_BYTES:
        raise Undecodable(f"too large: over {MAX_BYTES // 1024**2} MiB of file")
    for signature, read in _READERS.items():
        if data.startswith(signature):
            try:
                return read(data)
            except struct.error:  # a field beyond the end of the file
                raise Undecodable(f"truncated {_NAMES[read]}") from None
    raise Undecodable(f"not an image (starts with {data[:8].hex(' ')})")


def _header(name: str, width: int, height: int, data: bytes) -> ImageHeader:
    if width < 1 or height < 1:
        raise Undecodable(f"damaged {name}: {width}x{height} pixels")
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 1_000_000
        raise Undecodable(f"too large: {width}x{height} pixels, limit {limit} megapixels")
    return ImageHeader(format=name, width=width, height=height, data=data)


def _read_jpeg(data: bytes) -> ImageHeader:
    """Walk the marker segments up to the first scan, as libjpeg does: junk between them is skipped.

    The end marker is looked for behind the scan's start: a thumbnail in the metadata has one as well.
    """
    header: ImageHeader | None = None
    position = 2
    while True:
        position = data.find(b"\xff", position)
        if position < 0:
            raise Undecodable("truncated JPEG")
        while data[position : position + 1] == b"\xff":
            position += 1
        marker, length = struct.unpack_from(">BH", data, position)
        if marker in _JPEG_STANDALONE:
            position += 1
            continue
        if marker == _JPEG_END or length < 2:
            raise Undecodable("damaged JPEG")
        if marker in _JPEG_FRAME_HEADERS and header is None:
            height, width = struct.unpack_from(">HH", data, position + 4)
            header = _header("JPEG", width, height, data)
        position += 1 + length
        if marker == _JPEG_SCAN:
            break
    if header is None:
        raise Undecodable("damaged JPEG")
    if data.rfind(b"\xff\xd9", position) < 0:
        raise Undecodable("truncated JPEG")
    return header


def _read_png(data: bytes) -> ImageHeader:
    """Check every chunk that makes pixels and leave out the others (colour profile, gamma, Exif, text).

    libpng would warn about some of those on standard error, and none of them may change a pixel.
    """
    kind, width, height = struct.unpack_from(">4sII", data, 12)
    if kind != b"IHDR":
        raise Undecodable("damaged PNG")
    header = _header("PNG", width, height, data)
    view = memoryview(data)
    kept: list[memoryview] = [view[:8]]
    position, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise Undecodable("truncated PNG")
        if kind in _PNG_PIXEL_CHUNKS:
            (checksum,) = struct.unpack_from(">I", data, end - 4)
            if zlib.crc32(view[position + 4 : end - 4]) != checksum:
                raise Undecodable("damaged PNG: checksum does not match")
            kept.append(view[position:end])
        elif not kind[0] & 0x20:  # capital first letter: not to be ignored by a reader
            raise Undecodable("damaged PNG: unknown chunk")
        position = end
    if sum(map(len, kept)) == len(data):
        return header
    return replace(header, data=b"".join(kept))


def _read_bmp(data: bytes) -> ImageHeader:
    offset, size = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    header = _header("BMP", width, abs(height), data)  # a negative height means top row first
    stride = (width * bits + 31) // 32 * 4
    if compression == 0 and offset + stride * header.height > len(data):
        raise Undecodable("truncated BMP")
    return header


def _read_tiff(data: bytes) -> ImageHeader:
    """Read the first image's directory, in either byte order; no BigTIFF, which starts at 4 GB.

    OpenCV obeys a TIFF's orientation whatever its flags say, and multiplies colours by an unassociated
    alpha channel. Both tags are made neutral in a copy, so that all formats keep the same rules.
    """
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (entries,) = struct.unpack_from(order + "H", data, start)
    first, stop = start + 2, start + 2 + 12 * entries
    if stop > len(data):
        raise Undecodable("truncated TIFF")
    values: dict[int, int] = {}
    neutral: list[tuple[int, str]] = []
    for entry in range(first, stop, 12):
        tag, kind, count, offset = struct.unpack_from(order + "HHII", data, entry)
        code = order + _TIFF_INTEGERS.get(kind, "")
        size = struct.calcsize(code)
        position = entry + 8 if count * size <= 4 else offset
        if tag in _TIFF_NEEDED and size:
            (value,) = struct.unpack_from(code, data, position)
            values[tag] = max(value, values.get(tag, 0))  # of a repeated tag the worst counts
            if tag in (_TIFF_ORIENTATION, _TIFF_EXTRA_SAMPLES) and value != 1:
                neutral.append((position, code))
    if values.get(_TIFF_SAMPLES, 1) > 4 or values.get(_TIFF_BITS, 1) > 16:
        raise Undecodable(
            f"unsupported TIFF: {values.get(_TIFF_SAMPLES, 1)} samples of "
            f"{values.get(_TIFF_BITS, 1)} bits a pixel"
        )
    if _TIFF_TILE_WIDTH in values:  # memory is taken by whole tiles, whatever the image's size
        _header("TIFF", values[_TIFF_TILE_WIDTH], values.get(_TIFF_TILE_HEIGHT, 0), data)
    header = _header("TIFF", values.get(_TIFF_WIDTH, 0), values.get(_TIFF_HEIGHT, 0), data)
    if not neutral:
        return header
    copy = bytearray(data)
    for position, code in neutral:
        struct.pack_into(code, copy, position, 1)
    return replace(header, data=bytes(copy))


_READERS: Mapping[bytes, Callable[[bytes], ImageHeader]] = MappingProxyType(
    {
        b"\xff\xd8\xff": _read_jpeg,
        _PNG_SIGNATURE: _read_png,
        b"BM": _read_bmp,
        b"II*\0": _read_tiff,
        b"MM\0*": _read_tiff,
    }
)
_NAMES: Mapping[Callable[[bytes], ImageHeader], str] = MappingProxyType(
    {_read_jpeg: "JPEG", _read_png: "PNG", _read_bmp: "BMP", _read_tiff: "TIFF"}
)
