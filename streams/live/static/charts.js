// Lines over time: uPlot for the large ones, a few SVG points for sparklines.

import { h } from "./draw.js";
import { isNumber } from "./format.js";

/**
 * A sparkline of [ms, value] points. Decoration beside a number that says the same: hidden from
 * screen readers. A missing value breaks the line.
 */
export function sparkline(points, width = 120, height = 28) {
  const known = points.filter(([, value]) => isNumber(value));
  const frame = { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" };
  if (known.length < 2) return h("svg", { ...frame, "aria-hidden": "true" });
  const values = known.map(([, value]) => value);
  const low = Math.min(0, ...values);
  const high = Math.max(...values, low + 1e-9);
  const [first, last] = [points[0][0], points[points.length - 1][0]];
  const x = (ms) => ((ms - first) / Math.max(1, last - first)) * width;
  const y = (value) => height - 2 - ((value - low) / (high - low)) * (height - 4);
  let path = "";
  let pen = "M";
  for (const [ms, value] of points) {
    if (isNumber(value)) path += `${pen}${x(ms).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = isNumber(value) ? "L" : "M";
  }
  return h("svg", { ...frame, "aria-hidden": "true" }, h("path", { class: "spark-line", d: path }));
}

/** The colours of the page as it is now, for a canvas that knows no CSS. */
function colours(place) {
  const style = getComputedStyle(place);
  return (name) => {
    place.style.color = `var(${name})`;
    const colour = style.color;
    place.style.removeProperty("color");
    return colour;
  };
}

/**
 * One large chart of a value with the band in which it is expected.
 * Data: {times (s), values, lows, highs}, arrays of equal length with null for "not known".
 */
export class BandChart {
  #place;
  #plot = null;
  #theme = null;
  #shown = null;
  #format;
  #resized;

  /** `place` stays the page's; `format(value)` writes axis labels. */
  constructor(place, format) {
    this.#place = place;
    this.#format = format;
    this.#resized = new ResizeObserver(() => this.#fit());
    this.#resized.observe(place);
  }

  /** Draw `data`; `theme` names the colours in force. Drawn only when something changed. */
  show(data, theme) {
    const { times, values, lows, highs } = data;
    const last = times.length - 1;
    const shown = [times.length, times[0], times[last], values[last], lows[last], highs[last]].join();
    if (this.#plot !== null && this.#theme === theme && this.#shown === shown) return;
    this.#shown = shown;
    if (this.#plot !== null && this.#theme === theme) {
      this.#plot.setData([times, highs, lows, values]);
      return;
    }
    this.#plot?.destroy();
    this.#theme = theme;
    this.#plot = new uPlot(this.#options(), [times, highs, lows, values], this.#place);
  }

  destroy() {
    this.#resized.disconnect();
    this.#plot?.destroy();
    this.#plot = null;
  }

  #fit() {
    const { clientWidth: width, clientHeight: height } = this.#place;
    if (this.#plot !== null && width > 0 && (width !== this.#plot.width || height !== this.#plot.height))
      this.#plot.setSize({ width, height });
  }

  #options() {
    const colour = colours(this.#place);
    const quiet = { stroke: colour("--quiet"), font: "11px system-ui, sans-serif" };
    const grid = { stroke: colour("--line"), width: 1 };
    const edge = { stroke: "transparent", points: { show: false } };
    return {
      width: Math.max(80, this.#place.clientWidth),
      height: Math.max(60, this.#place.clientHeight),
      padding: [6, 18, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: "time" }, drag: { x: false, y: false } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.1] } },
      axes: [
        { ...quiet, grid: { show: false }, ticks: grid, size: 26, space: 60, values: clockLabels },
        { ...quiet, grid, ticks: { show: false }, size: 52, space: 28, values: (_, ticks) => ticks.map(this.#format) },
      ],
      bands: [{ series: [1, 2], fill: colour("--band") }],
      series: [
        {},
        edge,
        edge,
        { stroke: colour("--accent"), width: 2, points: { show: false }, spanGaps: false },
      ],
    };
  }
}

/** Clock times; over more than a day and a half (simulated time) days. */
function clockLabels(plot, ticks) {
  const { min, max } = plot.scales.x;
  const [from, to] = max - min > 36 * 3600 ? [5, 10] : [11, 16];
  return ticks.map((seconds) => new Date(seconds * 1000).toISOString().slice(from, to));
}

/** The charts of the page by their place; one whose place is gone is taken down. */
export class Charts {
  #charts = new Map();

  /** `wanted`: name → {data, format}; places carry the name as data-chart. */
  show(root, wanted, theme) {
    for (const place of root.querySelectorAll("[data-chart]")) {
      const { data, format } = wanted.get(place.dataset.chart);
      if (!this.#charts.has(place)) this.#charts.set(place, new BandChart(place, format));
      this.#charts.get(place).show(data, theme);
    }
    for (const [place, chart] of this.#charts) {
      if (place.isConnected) continue;
      chart.destroy();
      this.#charts.delete(place);
    }
  }
}
