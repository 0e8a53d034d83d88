"""A run's epochs as TensorBoard scalars."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tighten.engine.events import Epoch, Listener
from tighten.errors import RunError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard(Listener):
    """Scalars of each epoch: loss, accuracy, rho, seconds, and the residuals of all sites together and of each.

    The step is the number of epochs after the dense network, as `log.jsonl` counts them, so that a run that is
    resumed or rolled back goes on in the right place. The dense network's own epochs are apart, under `dense/`.

    Args:
        run: the run folder; the files go to its folder `tensorboard`.

    Raises:
        RunError: TensorBoard is not installed.
    """

    def __init__(self, run: Path) -> None:
        try:
            import tensorboard  # noqa: F401
        except ModuleNotFoundError as error:
            raise RunError("TensorBoard is not installed: pip install 'tighten[tensorboard]'") from error
        self._run = run
        self._made: SummaryWriter | None = None

    def epoch(self, epoch: Epoch) -> None:
        dense = epoch.stage == "dense"
        step = epoch.epoch if dense else self._count()
        scalars = {"loss": epoch.loss, "accuracy": epoch.accuracy, "seconds": epoch.seconds}
        if epoch.rho:
            scalars |= {"rho": epoch.rho, "residual/primal": epoch.primal, "residual/dual": epoch.dual}
        for name, (primal, dual) in epoch.residuals.items():
            scalars |= {f"primal/{name}": primal, f"dual/{name}": dual}
        for tag, value in scalars.items():
            self._writer.add_scalar(f"dense/{tag}" if dense else tag, value, step)
        self._writer.flush()

    def note(self, text: str) -> None:
        self._writer.add_text("notes", text, self._count())
        self._writer.flush()

    @property
    def _writer(self) -> SummaryWriter:
        if self._made is None:
            # Only now: the folder of a run must not exist before the run has looked at it.
            from torch.utils.tensorboard import SummaryWriter

            self._made = SummaryWriter(str(self._run / "tensorboard"))
        return self._made

    def _count(self) -> int:
        log = self._run / "log.jsonl"
        return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0
