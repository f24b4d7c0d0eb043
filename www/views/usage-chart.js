// Draws seven days of calls, stacked by app, with uPlot on a canvas. A table beside it has the same
// figures.

const HEIGHT = 118;
const FONT = "11px system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif";
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export class UsageChart {
  /**
   * @param {Element} holder the element that the chart fills
   * @param {(day: number | null) => void} onPoint is called with the index of the day under the
   *   pointer
   */
  constructor(holder, onPoint) {
    this.holder = holder;
    this.onPoint = onPoint;
    this.plot = null;
    this.shape = "";
    this.usage = null;
    new ResizeObserver(() => this.fit()).observe(holder);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.plot?.redraw(false));
  }

  /** Draws the days of a usage report, unless they are drawn already. */
  show(usage) {
    if (usage === this.usage) return;
    this.usage = usage;
    this.draw();
  }

  draw() {
    const width = this.holder.clientWidth;
    // Without the library, or room, the reader has the table.
    if (!this.usage || width === 0 || !globalThis.uPlot) return;
    const shape = JSON.stringify([this.usage.days.map((day) => day.date), this.usage.apps.map((app) => app.hue)]);
    if (shape !== this.shape) {
      this.plot?.destroy();
      this.plot = new globalThis.uPlot(this.options(width), stacked(this.usage), this.holder);
      this.shape = shape;
    } else {
      this.plot.setData(stacked(this.usage));
    }
  }

  fit() {
    const width = this.holder.clientWidth;
    if (!this.plot) this.draw();
    else if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  options(width) {
    const { days, apps } = this.usage;
    const paths = globalThis.uPlot.paths.bars({ size: [0.66, 34] });
    const line = { stroke: colour("--soft"), font: FONT, ticks: { show: false } };
    return {
      width,
      height: HEIGHT,
      padding: [6, 0, 0, 0],
      legend: { show: false },
      cursor: { x: false, y: false, points: { show: false }, drag: { x: false, y: false, setScale: false } },
      scales: { x: { time: false, range: () => [-0.5, days.length - 0.5] }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.04)] } },
      axes: [
        { ...line, size: 20, gap: 3, grid: { show: false }, splits: () => days.map((_, index) => index), values: () => days.map((day) => (day.today ? "today" : day.short)) },
        { ...line, size: 40, gap: 4, space: 26, grid: { stroke: colour("--line"), width: 1 }, incrs: WHOLE_STEPS, values: (_, values) => values.map((value) => compact.format(value)) },
      ],
      // The tallest stack is drawn first, and the ones below it over it.
      series: [{}, ...apps.toReversed().map((app) => ({ paths, fill: colour(`--app-${app.hue}`), stroke: colour("--surface"), width: 0, points: { show: false } }))],
      hooks: { setCursor: [(plot) => this.onPoint(plot.cursor.left >= 0 ? (plot.cursor.idx ?? null) : null)] },
    };
  }
}

/** The steps of the axis of calls: whole numbers. */
const WHOLE_STEPS = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

// Reads a colour of the style sheet at each drawing, so that the chart follows a change from light
// to dark.
function colour(name) {
  return () => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// Returns for each app its calls and those of the apps below it, the topmost app first.
function stacked({ days, apps }) {
  const sums = days.map(() => 0);
  const stacks = apps.map((app) => app.counts.map((calls, day) => (sums[day] += calls)));
  return [days.map((_, index) => index), ...stacks.reverse()];
}
