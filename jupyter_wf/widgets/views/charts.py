"""What each worker uses, over the last minute, as two charts with one line a worker."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bokeh.models import (
    ColumnDataSource,
    DatetimeTickFormatter,
    HoverTool,
    InlineStyleSheet,
    NumeralTickFormatter,
    Range1d,
)
from bokeh.plotting import figure

if TYPE_CHECKING:
    from jupyter_wf.status import WorkerStatus

#: After Okabe and Ito, for all kinds of colour vision; the blue is lighter, to suit a dark theme.
COLOURS = ("#2b86c9", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999")
SPAN = 60_000.0
THEME = """:host {
  --bk-axis-line-color: var(--jp-border-color1, #b4bac1);
  --bk-major-tick-line-color: var(--jp-border-color1, #b4bac1);
  --bk-major-label-text-color: var(--jp-ui-font-color2, #7a828b);
  --bk-text-color: var(--jp-ui-font-color1, #7a828b);
  --bk-grid-line-color: var(--jp-border-color3, #8884);
}"""


class WorkerCharts:
    """Cores and memory of each worker; `figures` are to be laid out."""

    def __init__(self) -> None:
        now = 1000 * time.time()
        self._times = Range1d(now - SPAN, now)
        self._cores, self._memory = Range1d(0.0, 1.0), Range1d(0.0, 100.0)
        hover = {"cpu": "@cpu{0.00} cores", "memory": "@memory{0,0} MB"}
        self.figures = [
            self._chart("CPU (cores)", self._cores, hover["cpu"]),
            self._chart("Memory (MB)", self._memory, hover["memory"]),
        ]
        self.figures[1].yaxis.formatter = NumeralTickFormatter(format="0,0")
        self._sources: dict[str, ColumnDataSource] = {}
        self._lines: dict[str, list[Any]] = {}
        self._colours: dict[str, str] = {}
        self._latest: dict[str, float] = {}

    def colour(self, address: str) -> str:
        """Return the colour of a worker's lines."""
        number = len(self._colours) % len(COLOURS)
        return self._colours.setdefault(address, COLOURS[number])

    def update(self, workers: Mapping[str, WorkerStatus]) -> None:
        """Draw what was measured since the last time."""
        histories = {address: list(worker.history) for address, worker in workers.items()}
        for address in [a for a in self._sources if a not in workers]:
            self._remove(address)
        for address, history in histories.items():
            if address not in self._sources:
                self._add(address, workers[address].name or address)
            latest = self._latest.get(address, 0.0)
            fresh = [sample for sample in history if sample[0] > latest]
            if fresh:
                self._latest[address] = fresh[-1][0]
                self._sources[address].stream(
                    {
                        "time": [1000 * moment for moment, _, _ in fresh],
                        "cpu": [cpu for _, cpu, _ in fresh],
                        "memory": [memory / 1e6 for _, _, memory in fresh],
                        "name": [workers[address].name or address] * len(fresh),
                    },
                    rollover=600,
                )
        self._rescale(histories)

    def _rescale(self, histories: Mapping[str, list[tuple[float, float, int]]]) -> None:
        samples = [sample for history in histories.values() for sample in history]
        if not samples:
            return
        end = 1000 * max(moment for moment, _, _ in samples)
        recent = [s for s in samples if 1000 * s[0] >= end - SPAN]
        self._times.update(start=end - SPAN, end=end)
        self._cores.end = 1.1 * max(1.0, *(cpu for _, cpu, _ in recent))
        self._memory.end = 1.15 * max(10.0, *(memory / 1e6 for _, _, memory in recent))

    def _chart(self, title: str, values: Range1d, shown: str) -> Any:
        chart = figure(
            title=title,
            height=150,
            width=320,
            x_axis_type="datetime",
            x_range=self._times,
            y_range=values,
            tools=[HoverTool(tooltips=[("", "@name"), ("", shown)], mode="vline")],
            toolbar_location=None,
            background_fill_alpha=0.0,
            border_fill_alpha=0.0,
            outline_line_color=None,
            min_border_left=52,
            sizing_mode="stretch_width",
            stylesheets=[InlineStyleSheet(css=THEME)],
        )
        chart.xaxis.formatter = DatetimeTickFormatter(
            seconds="%M:%S", minsec="%M:%S", minutes="%M:%S", milliseconds="%M:%S"
        )
        chart.xaxis.ticker.desired_num_ticks = 3
        chart.yaxis.ticker.desired_num_ticks = 3
        chart.xaxis.minor_tick_line_color = chart.yaxis.minor_tick_line_color = None
        chart.xgrid.grid_line_color = None
        chart.title.text_font_size = "12px"
        return chart

    def _add(self, address: str, name: str) -> None:
        source = ColumnDataSource({"time": [], "cpu": [], "memory": [], "name": []}, name=name)
        self._sources[address] = source
        self._lines[address] = [
            chart.line(
                "time", column, source=source, line_width=1.8, line_color=self.colour(address)
            )
            for chart, column in zip(self.figures, ("cpu", "memory"), strict=True)
        ]

    def _remove(self, address: str) -> None:
        del self._sources[address]
        for chart, line in zip(self.figures, self._lines.pop(address), strict=True):
            chart.renderers.remove(line)
