"""Charts by Bokeh, as the JSON that ``static/charts.js`` embeds. Why Bokeh: docs/decisions/0004-charts.md.

Colours of text and lines are placeholders that the script replaces by the page's own, so that one document serves light
and dark. Nothing in it is executable: no CustomJS, which ``script-src 'self'`` would refuse.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from dashboards.timeline import Timeline

TEXT = "#010203"
LINE = "#010204"
"""Stand for the page's ``--muted`` and ``--line``; see ``static/charts.js``."""

PALETTE = ("#4b78d8", "#e3873c", "#4aa37b", "#c3588f", "#9173d3", "#b2972c", "#3a9fb0", "#d3605a")
REST = "#8a909c"
HEIGHT = 290
LABELS = 14
"""Time labels on a wide page; the script thins them out on a narrow one."""


def colour(index: int, *, rest: bool = False) -> str:
    """Colour of a group, by its place."""
    return REST if rest else PALETTE[index % len(PALETTE)]


def bokeh_version() -> str:
    """Names the address of Bokeh's script, so that browsers may keep it for good."""
    from bokeh import __version__

    return str(__version__)


@cache
def bokeh_script() -> bytes:
    """BokehJS from the installed wheel: the core alone, without widgets, tables and WebGL."""
    return files("bokeh").joinpath("server/static/js/bokeh.min.js").read_bytes()


def cost_chart(timeline: Timeline, labels: list[str]) -> str:
    """Stacked bars of cost over time as JSON for ``Bokeh.embed.embed_item``. ``labels`` name the buckets."""
    # Imported here: Bokeh takes about half a second, which a start of `work` need not pay.
    from bokeh.embed import json_item
    from bokeh.models import ColumnDataSource, HoverTool
    from bokeh.plotting import figure

    columns = [f"g{index}" for index in range(len(timeline.groups))]
    data: dict[str, list[object]] = {
        "x": [index + 0.5 for index in range(len(timeline.buckets))],
        "label": list(labels),
        "total": [float(bucket.total or 0) for bucket in timeline.buckets],
    }
    for index, column in enumerate(columns):
        data[column] = [float(bucket.costs[index] or 0) for bucket in timeline.buckets]
    plot = figure(height=HEIGHT, sizing_mode="stretch_width", toolbar_location=None, tools="", min_border=0)
    bars = plot.vbar_stack(
        columns,
        x="x",
        width=0.82,
        color=[colour(index, rest=group.rest) for index, group in enumerate(timeline.groups)],
        source=ColumnDataSource(data),
    )
    for group, column, bar in zip(timeline.groups, columns, bars, strict=True):
        tips = [("", "@label"), (_plain(group.name), f"@{column}{{$0,0.[000000]}}"), ("total", "@total{$0,0.[000000]}")]
        plot.add_tools(HoverTool(renderers=[bar], tooltips=tips))
    _dress(plot, labels, max((float(bucket.total or 0) for bucket in timeline.buckets), default=0.0))
    item = json_item(plot)
    # The document stands inside a script element: no text in it may end that element.
    return json.dumps(item).replace("<", "\\u003c").replace("\u2028", "\\u2028")


def _plain(name: str) -> str:
    """A group's name as a tooltip's label, where ``@`` and ``$`` would name a column."""
    return name.replace("@", "(at)").replace("$", "")


def _dress(plot: object, labels: list[str], highest: float) -> None:
    from bokeh.models import BasicTicker, FixedTicker, NumeralTickFormatter, Plot, Range1d

    assert isinstance(plot, Plot)
    x_axis, y_axis = plot.xaxis[0], plot.yaxis[0]
    plot.x_range = Range1d(start=0, end=max(1, len(labels)))
    plot.y_range = Range1d(start=0, end=1.06 * highest or 1)
    every = max(1, -(-len(labels) // LABELS))
    ticks = list(range(0, len(labels), every))
    x_axis.ticker = FixedTicker(ticks=ticks, name="time")
    x_axis.major_label_overrides = {tick: labels[tick] for tick in ticks}
    y_axis.formatter = NumeralTickFormatter(format="$0,0.[00000000]")
    y_axis.ticker = BasicTicker(desired_num_ticks=6)
    for axis in (x_axis, y_axis):
        axis.axis_line_color = axis.major_tick_line_color = axis.minor_tick_line_color = None
        axis.major_label_text_color = TEXT
        axis.major_label_text_font = "Inter, system-ui, sans-serif"
        axis.major_label_text_font_size = "11px"
    x_axis.axis_line_color = LINE
    plot.xgrid.grid_line_color = None
    plot.ygrid.grid_line_color = LINE
    plot.background_fill_color = plot.border_fill_color = plot.outline_line_color = None
