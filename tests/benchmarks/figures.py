"""What was measured, beside what is wanted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from supervisor.table import render_table

__all__ = ["Figure", "percentile", "show"]

_TITLES = ("figure", "measured", "spread", "target", "reference", "ratio", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number for each round. A target of a ratio is meant within the same round: the machine is not ours alone."""

    name: str
    unit: str
    samples: Sequence[float]
    references: Sequence[float] = ()
    """What the same costs without us, in the same rounds."""
    at_least: float | None = None
    at_most: float | None = None
    of_ratio: bool = False
    """The target is one of the ratio."""

    @property
    def value(self) -> float:
        return median(self.samples)

    @property
    def ratio(self) -> float | None:
        if not self.references:
            return None
        return median(mine / other for mine, other in zip(self.samples, self.references, strict=True))

    @property
    def reached(self) -> bool:
        value = self.ratio if self.of_ratio else self.value
        if value is None:
            return True
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def row(self) -> tuple[str, ...]:
        return (
            self.name,
            f"{_number(self.value)} {self.unit}",
            f"{_number(min(self.samples))}-{_number(max(self.samples))}" if len(self.samples) > 1 else "",
            self._target(),
            f"{_number(median(self.references))} {self.unit}" if self.references else "",
            "" if self.ratio is None else f"{self.ratio:.2f}",
            "" if self.reached else "missed",
        )

    def _target(self) -> str:
        if self.at_least is None and self.at_most is None:
            return ""
        sign, bound = ("≥", self.at_least) if self.at_least is not None else ("≤", self.at_most)
        return f"{sign} {bound:g}" + (" × reference" if self.of_ratio else f" {self.unit}")


def show(figures: Iterable[Figure]) -> str:
    """A table. What is beside a target that it does not reach is marked."""
    return render_table(_TITLES, [figure.row() for figure in figures], right=("measured", "reference", "ratio"))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
