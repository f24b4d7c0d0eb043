// Seven days of calls, stacked by app, drawn by uPlot on a canvas. What it shows is in a table too.

const HEIGHT = 118;
const FONT = "11px system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif";
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export class Chart {
  /**
   * @param {Element} holder an element as wide as the chart is to be
   * @param {(day: number | null) => void} pointed told which day the pointer is over
   */
  constructor(holder, pointed) {
    this.holder = holder;
    this.pointed = pointed;
    this.plot = null;
    this.shape = "";
    this.use = null;
    new ResizeObserver(() => this.fit()).observe(holder);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.plot?.redraw(false));
  }

  /** Draws these days, unless they are drawn already. */
  show(use) {
    if (use === this.use) return;
    this.use = use;
    this.draw();
  }

  draw() {
    const width = this.holder.clientWidth;
    // Without the library, or a place, the table has to do.
    if (!this.use || width === 0 || !globalThis.uPlot) return;
    const shape = JSON.stringify([this.use.days.map((day) => day.date), this.use.apps.map((app) => app.hue)]);
    if (shape !== this.shape) {
      this.plot?.destroy();
      this.plot = new globalThis.uPlot(this.options(width), stacked(this.use), this.holder);
      this.shape = shape;
    } else {
      this.plot.setData(stacked(this.use));
    }
  }

  fit() {
    const width = this.holder.clientWidth;
    if (!this.plot) this.draw();
    else if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
  }

  options(width) {
    const { days, apps } = this.use;
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
      hooks: { setCursor: [(plot) => this.pointed(plot.cursor.left >= 0 ? (plot.cursor.idx ?? null) : null)] },
    };
  }
}

const WHOLE_STEPS = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat();

// Read at each drawing, so that a change from light to dark is followed.
function colour(name) {
  return () => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// For each app the calls of its own and of those below it, the topmost first.
function stacked({ days, apps }) {
  const sums = days.map(() => 0);
  const stacks = apps.map((app) => app.counts.map((calls, day) => (sums[day] += calls)));
  return [days.map((_, index) => index), ...stacks.reverse()];
}
