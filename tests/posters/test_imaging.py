from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from genre_spark.errors import InvalidInputError
from genre_spark.imaging import (
    ImageHeader,
    RejectedImage,
    check_image,
    decode_bgr,
    decode_stored,
    fit_pixels,
    store_poster,
)
from genre_spark.imaging.decoding import MAX_SCANS, reduction
from tests.posters.pictures import (
    encoded,
    jpeg,
    jpeg_of_claimed_size,
    picture,
    pixels_of,
    png_of_claimed_size,
)


def rgb(content: bytes, **size: int) -> np.ndarray:
    return decode_bgr(content, check_image(content, max_pixels=10**8), **size)[:, :, ::-1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_undone_like_pillow_does(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = jpeg(exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    assert np.array_equal(rgb(content), upright)


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("PNG", "RGB", {}),
        ("PNG", "P", {}),
        ("PNG", "L", {}),
        ("PNG", "1", {}),
        ("WEBP", "RGB", {"lossless": True}),
        ("WEBP", "RGB", {"quality": 80}),
        ("GIF", "P", {}),
    ],
)
def test_formats_and_modes_give_the_colours_that_pillow_gives(kind, mode, options):
    content = encoded(picture().convert(mode), kind, **options)
    difference = np.abs(rgb(content).astype(int) - pixels_of(content))
    assert difference.max() <= 3  # Pillow and OpenCV bring different builds of libjpeg


def test_alpha_is_dropped_and_the_colour_under_it_stays():
    image = picture()
    image.putalpha(0)
    assert np.array_equal(rgb(encoded(image, "PNG")), np.asarray(picture()))


def test_sixteen_bit_gray_is_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 60 * 40).astype(np.uint16).reshape(60, 40)
    seen = rgb(cv2.imencode(".png", ramp)[1].tobytes())
    assert np.abs(seen[:, :, 0].astype(int) - ramp // 256).max() <= 1


def test_sixteen_bit_colour_is_cut_to_eight():
    deep = np.asarray(picture()).astype(np.uint16) * 257
    seen = rgb(cv2.imencode(".png", deep[:, :, ::-1])[1].tobytes())
    assert np.abs(seen.astype(int) - np.asarray(picture())).max() <= 1


def test_the_first_frame_of_an_animation_counts():
    frames = [picture(seed=1), picture(seed=2)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.abs(rgb(content).astype(int) - np.asarray(frames[0])).mean() < 12


@pytest.mark.parametrize(("side", "scale"), [(919, 1), (920, 2), (1839, 2), (1840, 4), (3680, 8)])
def test_large_jpegs_are_decoded_at_a_reduced_scale_with_at_least_twice_the_pixels_wanted(
    side, scale
):
    header = ImageHeader("jpeg", side * 3 // 2, side, 3)
    assert reduction(header, height=345, width=230) == scale


def test_reduced_decoding_is_as_good_as_full_decoding():
    rng = np.random.default_rng(3)
    detail = cv2.resize(
        rng.integers(0, 255, (300, 200, 3), np.uint8), (1000, 1500), interpolation=cv2.INTER_CUBIC
    )
    content = encoded(Image.fromarray(detail), "JPEG", quality=95)
    reduced = fit_pixels(rgb(content, height=345, width=230), height=345, width=230, fit="stretch")
    full = fit_pixels(rgb(content), height=345, width=230, fit="stretch")
    difference = np.abs(reduced.astype(int) - full)
    assert difference.mean() < 3
    assert cv2.PSNR(reduced, full) > 34


@pytest.mark.parametrize(
    "size", [(300, 445), (182, 268), (89, 132), (1000, 1500), (460, 690), (700, 701)]
)
def test_resizing_is_close_to_pillows_antialiased_one(size):
    image = picture(*size)
    ours = fit_pixels(np.ascontiguousarray(np.asarray(image)), height=345, width=230, fit="stretch")
    theirs = np.asarray(image.resize((230, 345), Image.Resampling.BICUBIC))
    assert cv2.PSNR(ours, theirs) > 30


def test_cover_crops_evenly_and_contain_pads_evenly():
    wide = np.full((50, 200, 3), 200, np.uint8)
    wide[:, :50] = wide[:, 150:] = 0
    covered = fit_pixels(wide, height=50, width=100, fit="cover")
    contained = fit_pixels(wide, height=100, width=100, fit="contain")
    assert covered.shape == (50, 100, 3)
    assert contained.shape == (100, 100, 3)
    assert covered.min() == 200
    assert contained[:37].max() == 0
    assert contained[63:].max() == 0
    assert contained[50, 50].tolist() == [200, 200, 200]


def test_an_original_that_fits_is_stored_byte_for_byte():
    content = jpeg(230, 345)
    stored = store_poster(content, height=345, width=230)
    assert stored.kept
    assert bytes(stored.content) == content


@pytest.mark.parametrize(
    "content",
    [
        jpeg(231, 345),
        encoded(picture(230, 345).convert("L"), "JPEG"),
        encoded(picture(230, 345), "PNG"),
    ],
    ids=["other size", "gray", "PNG"],
)
def test_an_original_that_does_not_fit_is_encoded_anew(content):
    stored = store_poster(content, height=345, width=230)
    assert not stored.kept
    header = check_image(bytes(stored.content), max_pixels=10**6)
    assert (header.format, header.height, header.width, header.channels) == ("jpeg", 345, 230, 3)


@pytest.mark.parametrize("encoding", ["png", "raw"])
def test_lossless_encodings_give_the_pixels_back(encoding):
    stored = store_poster(jpeg(), height=60, width=40, encoding=encoding)
    back = decode_stored(bytes(stored.content), encoding, 60, 40, 3)
    assert np.array_equal(back, stored.bgr[:, :, ::-1].transpose(2, 0, 1))


def test_jpeg_encoding_gives_nearly_the_pixels_back():
    stored = store_poster(
        jpeg(), height=60, width=40, encoding="jpeg", keep_originals=False, quality=95
    )
    back = decode_stored(stored.content, "jpeg", 60, 40, 3)
    assert cv2.PSNR(back.transpose(1, 2, 0), stored.bgr[:, :, ::-1]) > 30


@pytest.mark.parametrize(
    ("image", "encoding"),
    [(b"", "jpeg"), (b"12345", "raw"), (jpeg(41, 60), "jpeg"), (b"\xff\xd8junk", "jpeg")],
)
def test_stored_bytes_that_are_not_what_they_should_be_are_told(image, encoding):
    with pytest.raises(InvalidInputError, match=r"image: .*expected"):
        decode_stored(image, encoding, 60, 40, 3)


WHOLE = jpeg()
FLAWS = {
    "empty": (b"", "empty"),
    "html": (b"<!DOCTYPE html><html><body>Not found</body></html>", "not an image"),
    "random": (np.random.default_rng(5).bytes(5000), "not an image"),
    "cut in the magic": (WHOLE[:1], "not an image"),
    "cut in the header": (WHOLE[:30], "truncated"),
    "cut before the scan": (WHOLE[: WHOLE.index(b"\xff\xda") + 3], "truncated"),
    "cut in the scan": (WHOLE[: len(WHOLE) * 2 // 3], "truncated"),
    "cut at the end": (WHOLE[:-2], "truncated"),
    "cut PNG": (encoded(picture(), "PNG")[:-20], "truncated"),
    "cut WebP": (encoded(picture(), "WEBP")[:-20], "truncated"),
    "cut GIF": (encoded(picture(), "GIF")[:1200], "truncated"),
    "no pixels": (jpeg_of_claimed_size(0, 0), "no pixels"),
    "one pixel": (jpeg(1, 1), "too small"),
    "bomb JPEG": (jpeg_of_claimed_size(30_000, 30_000), "too many pixels"),
    "bomb PNG": (png_of_claimed_size(30_000, 30_000), "too many pixels"),
    "PNG without pixels": (png_of_claimed_size(500, 500), "truncated"),
    "many scans": (
        (many := encoded(picture(), "JPEG", progressive=True))[:-2]
        + many[many.index(b"\xff\xda") : -2] * MAX_SCANS
        + b"\xff\xd9",
        "too many scans",
    ),
}


@pytest.mark.parametrize("name", FLAWS)
def test_every_flaw_has_its_own_reason(name):
    content, reason = FLAWS[name]
    with pytest.raises(RejectedImage) as caught:
        store_poster(content, height=345, width=230, min_side=16)
    assert caught.value.reason == reason


def test_a_decompression_bomb_reaches_no_decoder(monkeypatch):
    def fail(*_args, **_options):
        raise AssertionError("a decoder was asked")

    monkeypatch.setattr(cv2, "imdecode", fail)
    monkeypatch.setattr(Image, "open", fail)
    for content in (
        jpeg_of_claimed_size(30_000, 30_000),
        png_of_claimed_size(2**31 - 1, 2**31 - 1),
    ):
        with pytest.raises(RejectedImage, match="too many pixels"):
            store_poster(content, height=345, width=230)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(
            bytes.__add__,
            st.sampled_from([b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF....WEBPVP8X", b"GIF89a"]),
            st.binary(max_size=200),
        ),
    )
)
def test_arbitrary_bytes_are_rejected_or_read_but_nothing_else(content):
    try:
        check_image(content, max_pixels=10**6)
    except RejectedImage as flaw:
        assert flaw.reason
        assert flaw.detail


def test_thousands_of_mutated_posters_are_all_accounted_for():
    rng = np.random.default_rng(11)
    seeds = [jpeg(), jpeg(progressive=True), encoded(picture().convert("CMYK"), "JPEG")]
    seeds += [encoded(picture(), kind) for kind in ("PNG", "WEBP", "GIF")]
    outcomes = {"stored": 0, "rejected": 0}
    for number in range(3000):
        content = bytearray(seeds[number % len(seeds)])
        for _ in range(int(rng.integers(1, 6))):
            where = int(rng.integers(0, len(content)))
            match number // len(seeds) % 4:
                case 0:
                    content[where] = int(rng.integers(0, 256))
                case 1:
                    del content[where : where + int(rng.integers(1, 40))]
                case 2:
                    content[where:where] = rng.bytes(int(rng.integers(1, 40)))
                case 3:
                    content[where % 80 % len(content)] ^= 1 << int(rng.integers(0, 8))
            if not content:
                break
        try:
            stored = store_poster(bytes(content), height=30, width=20, max_pixels=10**6)
            assert stored.bgr.shape == (30, 20, 3)
            outcomes["stored"] += 1
        except RejectedImage as flaw:
            assert flaw.reason
            outcomes["rejected"] += 1
    assert sum(outcomes.values()) == 3000
    assert min(outcomes.values()) > 300
