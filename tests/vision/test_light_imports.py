"""Tasks that look at posters' pixels alone start without torch, which takes seconds to import."""

from __future__ import annotations

import subprocess
import sys


def test_reading_decoded_posters_needs_no_torch():
    program = (
        "import sys, genre_spark.vision.inference.decoded_posters; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


def test_a_training_without_changes_of_colour_needs_no_torchvision():
    program = "import sys, genre_spark.vision.training.job; print('torchvision' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"
