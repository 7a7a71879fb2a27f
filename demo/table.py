"""The table at the end."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Row", "render_table"]

_HEADS = ("what", "requests", "seconds", "per second", "MB/s", "memory +MiB")


@dataclass
class Row:
    """One line: `size` in bytes, None where it says nothing; `memory` is how far the peak went beyond what was there before."""

    what: str
    requests: int
    seconds: float
    size: int | None = None
    memory: int = 0

    def cells(self) -> tuple[str, ...]:
        """What is shown."""
        seconds = max(self.seconds, 1e-9)
        return (
            self.what,
            f"{self.requests:,}",
            f"{self.seconds:.2f}",
            f"{self.requests / seconds:,.0f}" if self.requests > 1 else "",
            f"{self.size / seconds / 1e6:,.0f}" if self.size is not None else "",
            f"{self.memory / 2**20:.1f}",
        )


def render_table(rows: list[Row]) -> str:
    """The rows, in columns."""
    lines = [_HEADS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]

    def shown(line: tuple[str, ...]) -> str:
        numbers = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        return "  ".join([line[0].ljust(widths[0]), *numbers])

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([shown(_HEADS), rule, *(shown(row.cells()) for row in rows)])
