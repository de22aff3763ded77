"""What `decode` makes of every kind of file, whole and damaged."""

import struct
import zlib
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.decoding import Undecodable, decode
from edge_runtime.image_header import MAX_BYTES, MAX_PIXELS, read_header

RGB: npt.NDArray[np.uint8] = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8), (0, 0), 2
)
GREY = RGB[..., 0]
DEEP = np.random.default_rng(1).integers(0, 65535, (40, 48, 3), dtype=np.uint16)


def encode(suffix: str, image: npt.NDArray[np.generic], *parameters: int) -> bytes:
    """A file whose pixels are `image`, channels in the order R, G, B, alpha."""
    if image.ndim == 3:
        image = image[..., [2, 1, 0, 3][: image.shape[2]]]
    return bytes(cv2.imencode(suffix, image, list(parameters))[1])


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def png(
    width: int, height: int, *, colour: int = 2, depth: int = 8, before: bytes = b"", idat: bytes
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            before,
            chunk(b"IDAT", idat),
            chunk(b"IEND", b""),
        )
    )


def tiff(
    image: npt.NDArray[np.generic],
    *,
    order: str = "<",
    photometric: int | None = None,
    orientation: int = 1,
    extra: Sequence[tuple[int, int, int, int]] = (),
    width: int | None = None,
) -> bytes:
    """An uncompressed TIFF with its directory in front, as no encoder at hand writes it."""
    height, real_width = image.shape[:2]
    samples = 1 if image.ndim == 2 else image.shape[2]
    bits = image.dtype.itemsize * 8
    data = image.astype(image.dtype.newbyteorder(order)).tobytes()
    entries = [
        (256, 4, 1, width or real_width),
        (257, 4, 1, height),
        (259, 3, 1, 1),
        (262, 3, 1, photometric if photometric is not None else (2 if samples >= 3 else 1)),
        (274, 3, 1, orientation),
        (277, 3, 1, samples),
        (278, 4, 1, height),
        (279, 4, 1, len(data)),
        *extra,
    ]
    start = 8 + 2 + 12 * (len(entries) + 2) + 4
    entries += [
        (258, 3, samples, bits if samples == 1 else start),
        (273, 4, 1, start + 2 * samples),
    ]
    directory = b""
    for tag, kind, count, value in sorted(entries):
        wide = kind == 4 or count > 1
        directory += struct.pack(order + "HHI", tag, kind, count)
        directory += (
            struct.pack(order + "I", value) if wide else struct.pack(order + "HH", value, 0)
        )
    return b"".join(
        (
            b"II*\0" if order == "<" else b"MM\0*",
            struct.pack(order + "IH", 8, len(entries)),
            directory,
            struct.pack(order + "I", 0),
            struct.pack(order + "H", bits) * samples,
            data,
        )
    )


def reason(data: bytes) -> str:
    with pytest.raises(Undecodable) as caught:
        decode(data)
    assert str(caught.value) == caught.value.reason
    return caught.value.reason


def with_exif_orientation(jpeg: bytes, orientation: int) -> bytes:
    directory = struct.pack("<HHHIHHI", 1, 274, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + directory
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_lossless_formats_keep_every_pixel_in_rgb_order(suffix: str) -> None:
    np.testing.assert_array_equal(decode(encode(suffix, RGB)), RGB)


def test_a_jpeg_comes_close_to_what_was_encoded() -> None:
    pixels = decode(encode(".jpg", RGB, cv2.IMWRITE_JPEG_QUALITY, 98))
    assert np.abs(pixels.astype(int) - RGB).mean() < 3


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tiff"])
def test_grey_becomes_three_equal_channels(suffix: str) -> None:
    pixels = decode(encode(suffix, GREY, cv2.IMWRITE_JPEG_QUALITY, 100))
    assert pixels.shape == (40, 48, 3)
    assert (pixels == pixels[..., :1]).all()
    assert np.abs(pixels[..., 0].astype(int) - GREY).max() <= 3


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("image", [DEEP, DEEP[..., 0]], ids=["colour", "grey"])
def test_sixteen_bits_lose_their_lower_byte(suffix: str, image: npt.NDArray[np.uint16]) -> None:
    expected = (image if image.ndim == 3 else np.stack([image] * 3, axis=-1)) >> 8
    np.testing.assert_array_equal(decode(encode(suffix, image)), expected)


def test_dark_sixteen_bit_images_are_not_stretched() -> None:
    assert decode(encode(".png", np.full((20, 20), 4095, dtype=np.uint16))).max() == 15


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp"])
def test_alpha_is_dropped_and_the_colours_under_it_stay(suffix: str) -> None:
    alpha = np.linspace(0, 255, RGB.shape[0] * RGB.shape[1]).astype(np.uint8)
    image = np.dstack([RGB, alpha.reshape(RGB.shape[:2])])
    np.testing.assert_array_equal(decode(encode(suffix, image)), RGB)


def test_unassociated_alpha_of_a_tiff_multiplies_nothing() -> None:
    image = np.dstack([RGB, np.full(RGB.shape[:2], 100, dtype=np.uint8)])
    np.testing.assert_array_equal(decode(tiff(image, extra=[(338, 3, 1, 2)])), RGB)


def test_a_palette_is_resolved() -> None:
    palette = bytes(range(48))
    rows = zlib.compress((b"\0" + bytes(range(16))) * 16)
    pixels = decode(png(16, 16, colour=3, before=chunk(b"PLTE", palette), idat=rows))
    np.testing.assert_array_equal(pixels[0], np.arange(48).reshape(16, 3))


def test_one_bit_images_become_black_and_white() -> None:
    pixels = decode(png(16, 16, colour=0, depth=1, idat=zlib.compress(b"\0\xaa\xaa" * 16)))
    assert set(np.unique(pixels)) == {0, 255}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("image", [RGB, GREY, DEEP], ids=["rgb", "grey", "sixteen bits"])
def test_tiffs_of_either_byte_order_read_alike(order: str, image: npt.NDArray[np.generic]) -> None:
    expected = image.astype(np.uint16) >> (8 if image.dtype == np.uint16 else 0)
    pixels = decode(tiff(image, order=order))
    np.testing.assert_array_equal(pixels if image.ndim == 3 else pixels[..., 0], expected)


def test_a_tiff_whose_white_is_zero_is_turned_round() -> None:
    np.testing.assert_array_equal(decode(tiff(GREY, photometric=0))[..., 0], 255 - GREY)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_orientation_tags_move_no_pixel(orientation: int) -> None:
    jpeg = encode(".jpg", RGB)
    np.testing.assert_array_equal(decode(with_exif_orientation(jpeg, orientation)), decode(jpeg))
    np.testing.assert_array_equal(decode(tiff(RGB, orientation=orientation)), RGB)


def test_profiles_and_text_in_a_png_change_nothing_and_print_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    rows = zlib.compress((b"\0" + bytes([90, 60, 30]) * 16) * 16)
    beside = chunk(b"iCCP", b"x\0\0" + zlib.compress(b"bad")) + chunk(b"gAMA", struct.pack(">I", 9))
    pixels = decode(png(16, 16, before=beside, idat=rows))
    assert (pixels == (90, 60, 30)).all()
    assert capfd.readouterr().err == ""


def test_bytes_behind_the_end_are_ignored() -> None:
    for suffix in (".jpg", ".png"):
        data = encode(suffix, RGB)
        np.testing.assert_array_equal(decode(data + bytes(100)), decode(data))


def test_no_bytes_are_an_empty_file() -> None:
    assert reason(b"") == "empty file"


def test_foreign_bytes_are_named_by_their_beginning() -> None:
    assert reason(b"GIF89a....") == "not an image (starts with 47 49 46 38 39 61 2e 2e)"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tiff"])
def test_a_file_cut_anywhere_is_refused_in_silence(
    suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    data = encode(suffix, RGB)
    whole = len(data) - 2
    reasons = {reason(data[:end]).split(" (")[0] for end in range(1, whole, max(1, whole // 150))}
    name = {".jpg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".tiff": "TIFF"}[suffix]
    assert reasons <= {f"truncated {name}", f"damaged {name}", "not an image"}
    assert f"truncated {name}" in reasons
    assert capfd.readouterr().err == ""


def test_a_file_of_its_full_length_but_empty_to_the_end_is_truncated() -> None:
    data = encode(".jpg", RGB)
    assert reason(data[:600] + bytes(len(data) - 600)) == "truncated JPEG"


@pytest.mark.parametrize(
    "parameters",
    [(), (cv2.IMWRITE_JPEG_RST_INTERVAL, 4), (cv2.IMWRITE_JPEG_OPTIMIZE, 1)],
    ids=["plain", "restart markers", "own code tables"],
)
@pytest.mark.parametrize("image", [RGB, GREY], ids=["colour", "grey"])
def test_a_cut_scan_is_seen_although_an_end_marker_follows(
    parameters: tuple[int, ...], image: npt.NDArray[np.uint8]
) -> None:
    large = cv2.resize(image, (256, 256))
    data = encode(".jpg", large, *parameters)
    assert reason(data[: len(data) // 2] + b"\xff\xd9") == "truncated JPEG"


@pytest.mark.parametrize("rows", [1, 8, 16, 100, 256])
def test_a_whole_jpeg_that_is_mid_grey_below_is_accepted(rows: int) -> None:
    image = cv2.resize(RGB, (256, 256))
    image[-rows:] = 128
    assert decode(encode(".jpg", image)).shape == (256, 256, 3)


def test_an_end_marker_in_a_thumbnail_does_not_end_the_file() -> None:
    data = encode(".jpg", RGB)
    thumbnail = b"\xff\xd8 a small picture \xff\xd9"
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + data[2:]
    assert decode(data).shape == RGB.shape
    assert reason(data[:-2]) == "truncated JPEG"


def test_a_flipped_bit_in_a_png_is_found_in_silence(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encode(".png", RGB))
    data[len(data) // 2] ^= 0x10
    assert reason(bytes(data)) == "damaged PNG: checksum does not match"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "bomb",
    [
        png(12000, 9000, idat=b""),
        encode(".jpg", RGB).replace(struct.pack(">HH", 40, 48), struct.pack(">HH", 9000, 12000), 1),
        b"BM" + struct.pack("<IHHIIiiHHI", 0, 0, 0, 54, 40, 12000, -9000, 1, 24, 0),
        tiff(RGB, extra=[(322, 4, 1, 12000), (323, 4, 1, 9000)]),
    ],
    ids=["png", "jpeg", "bmp", "tiff tile"],
)
def test_a_bomb_is_refused_by_its_header(bomb: bytes) -> None:
    assert len(bomb) < 10_000
    assert reason(bomb) == "too large: 12000x9000 pixels, limit 40 megapixels"


def test_a_tiff_that_claims_to_be_huge_is_refused() -> None:
    assert reason(tiff(GREY, width=MAX_PIXELS)).startswith("too large: 40000000x40 pixels")


def test_a_huge_file_is_refused_unread() -> None:
    assert reason(b"\xff\xd8\xff" + bytes(MAX_BYTES)) == "too large: over 256 MiB of file"


def test_the_largest_image_allowed_passes_its_header() -> None:
    header = read_header(png(MAX_PIXELS // 5000, 5000, idat=b""))
    assert (header.format, header.width * header.height) == ("PNG", MAX_PIXELS)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png(0, 5, idat=b""), "damaged PNG: 0x5 pixels"),
        (b"\xff\xd8\xff\xd9\x00\x00\x00", "damaged JPEG"),
        (b"\xff\xd8\xff\xda\x00\x02\x00\xff\xd9", "damaged JPEG"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", bytes(13)), "damaged PNG"),
        (png(16, 16, before=chunk(b"CgBI", b""), idat=b""), "damaged PNG: unknown chunk"),
        (tiff(GREY.astype(np.float32)), "unsupported TIFF: 1 samples of 32 bits a pixel"),
        (b"II*\0\x08\0\0\0\0\0\0\0\0\0", "damaged TIFF: 0x0 pixels"),
    ],
)
def test_a_file_that_makes_no_sense_says_what_is_wrong(data: bytes, expected: str) -> None:
    assert reason(data) == expected


SEEDS = [
    encode(".jpg", RGB),
    encode(".jpg", GREY, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    encode(".png", RGB),
    encode(".png", DEEP[..., 0]),
    encode(".bmp", GREY),
    encode(".tiff", RGB),
    tiff(DEEP),
]


def assert_pixels_or_refusal(data: bytes) -> None:
    try:
        pixels = decode(data)
    except Undecodable:
        return
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.dtype == np.uint8
    assert 0 < pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS


@settings(max_examples=300, deadline=None)
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=12),
    keep=st.floats(0, 1) | st.just(1.0),
)
def test_damage_never_gets_past_as_anything_but_undecodable(
    seed: bytes, edits: list[tuple[float, int]], keep: float
) -> None:
    data = bytearray(seed)
    for where, value in edits:
        data[int(where * (len(data) - 1))] = value
    assert_pixels_or_refusal(bytes(data[: int(keep * len(data))]))


@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0+"]),
    rest=st.binary(max_size=200),
)
def test_noise_behind_a_signature_is_undecodable(start: bytes, rest: bytes) -> None:
    assert_pixels_or_refusal(start + rest)
