"""Pictures that are right and odd: orientation in any form, large texts, pixels of other types."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from genre_spark.errors import InvalidInputError
from genre_spark.imaging import check_image, decode_bgr, eight_bits
from tests.posters.pictures import jpeg, picture


def rgb(content: bytes) -> np.ndarray:
    return decode_bgr(content, check_image(content, max_pixels=10**8))[:, :, ::-1]


def exif(kind: int, value: int, *, order: str, count: int = 1) -> bytes:
    """Return an EXIF block with one entry: the orientation, as SHORT (3), LONG (4), ...."""
    number = struct.pack(order + {3: "H", 4: "I", 8: "h", 9: "i"}[kind], value).ljust(4, b"\0")
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    entry = struct.pack(order + "HHI", 0x0112, kind, count) + number
    body = b"Exif\0\0" + mark + struct.pack(order + "IH", 8, 1) + entry + bytes(4)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def without_orientation(*, order: str) -> bytes:
    return exif(3, 6, order=order).replace(struct.pack(order + "H", 0x0112), b"\1\1")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("blocks", ["one", "1 after it", "none after it", "1 before it"])
@pytest.mark.parametrize("kind", [3, 4, 8, 9])
def test_the_first_exif_block_decides_whatever_its_number_type(order, blocks, kind) -> None:
    turned = exif(kind, 6, order=order)
    upright = exif(kind, 1, order=order)
    head = {
        "one": turned,
        "1 after it": turned + upright,
        "none after it": turned + without_orientation(order=order),
        "1 before it": upright + turned,
    }[blocks]
    plain = jpeg()
    content = plain[:2] + head + plain[2:]
    seen = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    assert np.array_equal(rgb(content), seen)
    assert np.array_equal(rgb(content), rgb(plain)) == (blocks == "1 before it")


@pytest.mark.parametrize("what", ["profile", "text", "many texts"])
def test_a_png_with_large_texts_is_read(what) -> None:
    pixels = np.asarray(picture())
    info, options = PngImagePlugin.PngInfo(), {}
    if what == "profile":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        options["icc_profile"] = profile + bytes(2 << 20)
    else:
        for number in range(70 if what == "many texts" else 1):
            size = 1 << 20 if what == "many texts" else 2 << 20
            info.add_text(f"comment {number}", "x" * (size - 100), zip=True)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", pnginfo=info, **options)
    assert np.array_equal(rgb(file.getvalue()), pixels)


def test_pixels_of_other_types_become_the_same_picture() -> None:
    pixels = np.asarray(picture())
    wide = pixels.astype(np.uint16) * 257
    for same in (pixels, pixels.astype(np.int64), pixels.tolist(), pixels.astype(np.float32), wide):
        assert np.array_equal(eight_bits(same), pixels)
    assert np.array_equal(eight_bits(pixels / 255), pixels)
    assert np.array_equal(eight_bits((pixels / 255).astype(np.float32)), pixels)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.full((4, 4, 3), -0.5), "float64 from -0.5 to -0.5, expected .*0..1"),
        (np.full((4, 4, 3), np.nan), "float64 from nan to nan"),
        (np.full((4, 4, 3), 127.5), "float64 from 127.5"),
        (np.full((4, 4, 3), 70_000), "int64 from 70000"),
        (np.zeros((4, 4), np.uint8), r"uint8 of shape \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8 of shape \(4, 4, 4\)"),
        (np.zeros((4, 4, 3), bool), "bool of shape"),
        ("poster.jpg", "the text 'poster.jpg', expected the bytes of an image file"),
        ([[1], [2, 3]], "lists of unequal lengths"),
        (None, "object of shape"),
    ],
)
def test_pixels_that_mean_nothing_are_rejected_with_what_was_expected(wrong, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        eight_bits(wrong)
