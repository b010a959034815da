"""Bytes to pixels and back, within bounds; no Spark, no torch.

Within the package pixels are BGR (H, W, 3), as OpenCV wants them; `decode_stored` gives RGB (3, H,
W).
"""

from genre_spark.extras import require

require("cv2", "PIL")

from genre_spark.imaging.decoding import check_image, decode_bgr
from genre_spark.imaging.headers import ImageHeader, read_header
from genre_spark.imaging.pixel_values import eight_bits
from genre_spark.imaging.rejected import RejectedImage
from genre_spark.imaging.resizing import fit_pixels
from genre_spark.imaging.storing import (
    StoredPoster,
    decode_stored,
    encode_pixels,
    store_poster,
    to_chw,
)

__all__ = [
    "ImageHeader",
    "RejectedImage",
    "StoredPoster",
    "check_image",
    "decode_bgr",
    "decode_stored",
    "eight_bits",
    "encode_pixels",
    "fit_pixels",
    "read_header",
    "store_poster",
    "to_chw",
]
