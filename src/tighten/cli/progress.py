"""A run as it can be watched in a terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from tighten.engine.events import Epoch, Listener


class Progress(Listener):
    """A bar for the steps of the stage, and a line for each finished stage or, outside a terminal, epoch."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console = console or Console()
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}{task.fields[facts]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("", visible=False, loss=0.0, facts="")
        self._loss = 0.0

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, epochs: int, steps_per_epoch: int, done: int) -> None:
        self._bars.reset(
            self._task,
            total=epochs * steps_per_epoch,
            completed=done * steps_per_epoch,
            description=name,
            visible=True,
            loss=0.0,
            facts="",
        )

    def step(self, loss: float) -> None:
        # a running mean of about fifty steps
        self._loss = loss if self._loss == 0 else 0.98 * self._loss + 0.02 * loss
        self._bars.update(self._task, advance=1, loss=self._loss)

    def epoch(self, epoch: Epoch) -> None:
        facts = f", validation {epoch.accuracy:.2f} %"
        if epoch.rho:
            facts += f", rho {epoch.rho:.2g}, residual {epoch.primal:.3f} (dual {epoch.dual:.3f})"
        self._bars.update(self._task, facts=facts)
        # A terminal shows the epochs in the bar; a log file wants each of them.
        if not self._console.is_terminal or epoch.epoch == epoch.epochs:
            self._say(
                f"{epoch.stage} {epoch.epoch}/{epoch.epochs}: loss {epoch.loss:.4f}{facts}, {epoch.seconds:.1f} s"
            )

    def note(self, text: str) -> None:
        self._say(text)

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
