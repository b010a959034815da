"""The look of each genre's posters: colours, backdrops and lettering, as a table."""

from __future__ import annotations

from dataclasses import dataclass

from genre_spark.synthesis.drawing import backdrops as on
from genre_spark.synthesis.drawing.backdrops import Backdrop
from genre_spark.synthesis.drawing.canvas import Colour

__all__ = [
    "LOOKS",
    "Look",
    "Palette",
    "rgb",
]


@dataclass(frozen=True)
class Palette:
    """Five colours, as 0xRRGGBB.

    Attributes:
        top: colour of the ground at the upper edge.
        bottom: colour of the ground at the lower edge.
        shade: colour of dark things in front of the light.
        light: colour of lamps, suns and mist.
        accent: colour of what should be noticed.
    """

    top: int
    bottom: int
    shade: int
    light: int
    accent: int

    def colours(self) -> tuple[Colour, Colour, Colour, Colour, Colour]:
        """Return the colours as (red, green, blue), 0..255."""
        top, bottom, shade, light, accent = map(
            rgb, (self.top, self.bottom, self.shade, self.light, self.accent)
        )
        return top, bottom, shade, light, accent


def rgb(value: int) -> Colour:
    """Return 0xRRGGBB as (red, green, blue)."""
    return value >> 16 & 255, value >> 8 & 255, value & 255


@dataclass(frozen=True)
class Look:
    """What the posters of a genre have in common.

    Attributes:
        palettes: palettes, of which each poster has one.
        backdrops: backdrops, of which each poster has one.
        font: file name of the title's font, one of those that come with matplotlib.
        title_on_top: probability that the title is above the motif.
    """

    palettes: tuple[Palette, ...]
    backdrops: tuple[Backdrop, ...]
    font: str
    title_on_top: float = 0.3


LOOKS = {
    "Drama": Look(
        (
            Palette(0x2B3A4A, 0xD9A066, 0x1B1F27, 0xF2CF9B, 0xC8553D),
            Palette(0x7A8B8B, 0xC9BFA8, 0x2E3532, 0xEDE6D6, 0x9C6644),
        ),
        (on.draw_sun, on.draw_plain, on.draw_hills),
        "STIXGeneral.ttf",
    ),
    "Documentary": Look(
        (
            Palette(0xEFEDE8, 0xDAD7CF, 0x2A2D31, 0xC9CCCF, 0xC0392B),
            Palette(0x202326, 0x3A3F44, 0x15171A, 0xA9B0B5, 0xE0B13C),
        ),
        (on.draw_photograph, on.draw_photograph, on.draw_plain),
        "DejaVuSans.ttf",
        0.5,
    ),
    "Comedy": Look(
        (
            Palette(0xFFD84D, 0xFFB627, 0x2B2B2B, 0xFFF3B0, 0xFFE066),
            Palette(0x59C9E8, 0xF7F7F2, 0x27384A, 0xFFE14D, 0xFFC93C),
        ),
        (on.draw_confetti, on.draw_rays, on.draw_plain),
        "DejaVuSans-Bold.ttf",
        0.5,
    ),
    "Animation": Look(
        (
            Palette(0x6FD3FF, 0xC5F277, 0x2E7D5B, 0xFFF08A, 0xFF7AA2),
            Palette(0xB388FF, 0xFFB3DA, 0x5A3E9B, 0xFFE9A8, 0x3DDBC1),
        ),
        (on.draw_hills, on.draw_confetti),
        "DejaVuSans-BoldOblique.ttf",
        0.7,
    ),
    "Horror": Look(
        (
            Palette(0x050507, 0x2A0508, 0x020203, 0xB01E1E, 0xE32222),
            Palette(0x0B1210, 0x1D2A22, 0x050807, 0x6F8F7A, 0xC62828),
        ),
        (on.draw_drips, on.draw_fog),
        "cmr10.ttf",
    ),
    "Romance": Look(
        (
            Palette(0xF7B2BD, 0xFCE4D8, 0x8E3B5C, 0xFFE9E4, 0xE0457B),
            Palette(0xE78EA9, 0xF6D6AD, 0x6D2E46, 0xFFF0E0, 0xD7263D),
        ),
        (on.draw_bokeh, on.draw_sun),
        "STIXGeneralBolIta.ttf",
        0.4,
    ),
    "Thriller": Look(
        (
            Palette(0x0E2A33, 0x06141A, 0x030A0D, 0x4FA3A5, 0xE8C547),
            Palette(0x1A1F2B, 0x2F3E4E, 0x0A0D13, 0x7C93A8, 0xD7443E),
        ),
        (on.draw_city, on.draw_blinds, on.draw_fog),
        "DejaVuSans-Bold.ttf",
        0.2,
    ),
    "Music": Look(
        (
            Palette(0x3A0F5C, 0xB5179E, 0x1A0630, 0xF72585, 0x4CC9F0),
            Palette(0x14213D, 0x5A2A82, 0x0B1020, 0xFFB703, 0xFB8500),
        ),
        (on.draw_spotlights, on.draw_bokeh),
        "cmss10.ttf",
    ),
    "Action": Look(
        (
            Palette(0x12303F, 0xE0621B, 0x0B161C, 0xFFB347, 0xFF8C1A),
            Palette(0x1C1C22, 0xB23A12, 0x0C0C0F, 0xFFC15E, 0xFFB020),
        ),
        (on.draw_rays, on.draw_city),
        "DejaVuSans-BoldOblique.ttf",
        0.15,
    ),
    "Crime": Look(
        (
            Palette(0x1B1B1B, 0x4A4238, 0x0A0A0A, 0xD8C9A3, 0xB3261E),
            Palette(0x26231F, 0x0F0E0D, 0x050505, 0xE3D3A8, 0xD4A017),
        ),
        (on.draw_blinds, on.draw_city),
        "cmtt10.ttf",
    ),
    "Family": Look(
        (
            Palette(0x9ADCF8, 0xEAF8D5, 0x3C8D53, 0xFFF6C2, 0xE4572E),
            Palette(0xBFE8FF, 0xFFE8C7, 0x4B8F8C, 0xFFFBE0, 0xF2884B),
        ),
        (on.draw_hills, on.draw_bokeh),
        "DejaVuSans-Bold.ttf",
        0.7,
    ),
    "TV Movie": Look(
        (
            Palette(0x4B6C8A, 0x8AA6B8, 0x2B3C4D, 0xD8E6EE, 0xE0A84E),
            Palette(0x6E5A7A, 0xB59DB3, 0x3A2E44, 0xEBDCEB, 0x6FB1A0),
        ),
        (on.draw_scanlines, on.draw_scanlines, on.draw_bokeh),
        "DejaVuSerif-Bold.ttf",
        0.5,
    ),
    "Adventure": Look(
        (
            Palette(0x2F7F8C, 0xF0C27B, 0x1F3B33, 0xFBE7B2, 0xE8912D),
            Palette(0x5DA9C9, 0xE9D8A6, 0x274C43, 0xFFF3C4, 0xCA6702),
        ),
        (on.draw_mountains, on.draw_mountains, on.draw_sun),
        "DejaVuSerif-Bold.ttf",
    ),
    "Fantasy": Look(
        (
            Palette(0x2B1055, 0x7597DE, 0x180A33, 0xC9B6FF, 0xF4D35E),
            Palette(0x123C3A, 0x6A4C93, 0x0B1F24, 0xA8E6CF, 0xFFD166),
        ),
        (on.draw_stars, on.draw_mountains),
        "STIXGeneralBol.ttf",
    ),
    "Mystery": Look(
        (
            Palette(0x2C3333, 0x5C6B63, 0x131818, 0xAEBBAE, 0xC7A252),
            Palette(0x1E2440, 0x4A5578, 0x0E1122, 0x9AA5C9, 0xE0BE6A),
        ),
        (on.draw_fog, on.draw_fog, on.draw_blinds),
        "DejaVuSerif-Italic.ttf",
    ),
    "Science Fiction": Look(
        (
            Palette(0x02030F, 0x0B2A5B, 0x010208, 0x35D0FF, 0x7DF9FF),
            Palette(0x0A0618, 0x35115C, 0x05030D, 0xFF4FD8, 0x41EAD4),
        ),
        (on.draw_floor, on.draw_stars),
        "DejaVuSansMono-Bold.ttf",
        0.6,
    ),
    "History": Look(
        (
            Palette(0xD9C29C, 0xA9855A, 0x4A3520, 0xF3E6C8, 0x8C2F1B),
            Palette(0xC7B08A, 0xE5D5B3, 0x5B4426, 0xF7EED8, 0x36558F),
        ),
        (on.draw_paper, on.draw_paper, on.draw_sun),
        "STIXGeneralBol.ttf",
        0.6,
    ),
    "War": Look(
        (
            Palette(0x6B6B4B, 0x3A3B2A, 0x1C1D14, 0xB8AE86, 0xA63D1E),
            Palette(0x7C7468, 0x4B4238, 0x1F1B17, 0xC9BFA9, 0xD1602C),
        ),
        (on.draw_smoke, on.draw_smoke, on.draw_sun),
        "DejaVuSansMono-Bold.ttf",
    ),
    "Western": Look(
        (
            Palette(0xE2812B, 0xF6C667, 0x4A1F0E, 0xFFE2A0, 0xFFD23F),
            Palette(0xB5432A, 0xE9A15B, 0x3A160C, 0xFFD59A, 0xF2C14E),
        ),
        (on.draw_desert,),
        "DejaVuSerif-Bold.ttf",
        0.5,
    ),
}
"""The look of each genre."""
