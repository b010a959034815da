"""Pictures of a training: loss and metrics by epoch."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from genre_spark.vision.plans.outcomes import EpochRecord

__all__ = ["draw_curves"]


def draw_curves(
    history: Sequence[EpochRecord], *, title: str, best_epoch: int, head_epochs: int = 0
) -> Figure:
    """Draw loss and F1 over epochs; a line marks the epoch whose weights are kept.

    Args:
        history: records of all phases, epochs counted through.
        title: title of the picture.
        best_epoch: number of the epoch whose weights are kept, from 0.
        head_epochs: epochs before fine-tuning, which has a shaded background; 0: there was none.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    epochs = [record.epoch + 1 for record in history]
    losses.plot(
        epochs, [record.train_loss for record in history], label="training", color="#7aa6c2"
    )
    losses.plot(
        epochs, [record.validation_loss for record in history], label="validation", color="#c2553c"
    )
    losses.set(xlabel="epoch", ylabel="loss", title=title)
    scores.plot(epochs, [record.micro_f1 for record in history], label="micro-F1", color="#c2553c")
    scores.plot(epochs, [record.macro_f1 for record in history], label="macro-F1", color="#e0a458")
    scores.plot(
        epochs, [record.hamming_loss for record in history], label="Hamming loss", color="#666666"
    )
    scores.set(xlabel="epoch", title="validation, at threshold 0.5", ylim=(0, None))
    for axes in (losses, scores):
        axes.axvline(best_epoch + 1, color="#bbbbbb", linestyle=":", linewidth=1)
        if 0 < head_epochs < len(history):
            axes.axvspan(
                head_epochs + 0.5,
                len(history) + 0.5,
                color="#f3ece0",
                zorder=0,
                label="fine-tuning",
            )
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return figure
