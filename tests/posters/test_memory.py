from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.cluster import cluster_environment
from tests.posters.pictures import encoded, jpeg

WORKER = """
import sys
from genre_spark.config.posters import PostersConfig
from genre_spark.posters.chunks import ChunkJob, prepare_chunk
from genre_spark.posters.plan.planning import plan_posters

source, work, encoding = sys.argv[1:4]
config = PostersConfig(encoding=encoding)
plan = plan_posters(source, work + "/table", work + "/rejects", config)
job = ChunkJob(source, work + "/table", work + "/rejects", plan.ledger, config)
rows = sum(prepare_chunk(job, index, chunk)["rows"] for index, chunk in enumerate(plan.chunks))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(rows, int(peak.split()[1]) // 1024)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux reports the peak memory of a process"
)
@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_a_worker_stays_below_600_mb_with_the_largest_images_that_are_allowed(tmp_path, encoding):
    folder = tmp_path / "posters"
    folder.mkdir()
    large = Image.new("RGB", (7000, 7100), (10, 200, 30))
    alpha = Image.new("RGBA", (7000, 7100), (10, 200, 30, 40))
    kinds = {
        "jpg": ("JPEG", large, {"progressive": True, "subsampling": 0}),
        "png": ("PNG", alpha, {"compress_level": 1}),
    }
    for number, (extension, (kind, image, options)) in enumerate(kinds.items(), start=1):
        (folder / f"{number}.{extension}").write_bytes(encoded(image, kind, **options))
    (folder / "3.jpg").write_bytes(encoded(large.convert("CMYK"), "JPEG"))
    for number in range(10, 310):
        (folder / f"{number}.jpg").write_bytes(jpeg(number % 7 + 230, 345, seed=number))
    rows, megabytes = map(int, _run(WORKER, str(folder), str(tmp_path), encoding).split())
    assert rows == 303
    assert megabytes <= 600


def _run(script: str, *arguments: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=cluster_environment(),
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout
