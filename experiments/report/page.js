"use strict";
// Sorting, values under the pointer, and the curve of a run when it is opened. The page can be read
// without any of it.

const DATA = JSON.parse(document.getElementById("data").textContent);
const TIP = document.getElementById("tip");
const SVG = "http://www.w3.org/2000/svg";

// ---- Tables: a click on a head sorts by it, another one turns the order round.

const SECONDS = { s: 1, min: 60, h: 3600, days: 86400 };

function sortKey(row, column) {
  const text = row.cells[column].textContent.trim();
  const time = text.match(/^([\d.]+) (s|min|h|days)$/);
  if (time) return Number(time[1]) * SECONDS[time[2]];
  const number = parseFloat(text.replace(/^[~>]|,/g, ""));
  return Number.isNaN(number) ? text.toLowerCase() : number;
}

function order(a, b, down) {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1; // what is no number stands last
  return (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1);
}

function sortBy(head) {
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = head.closest("table").tBodies[0];
  const rows = [...body.rows].map((row) => [sortKey(row, head.cellIndex), row]);
  rows.sort(([a], [b]) => order(a, b, down));
  body.append(...rows.map(([, row]) => row));
}

for (const button of document.querySelectorAll(".sortable th button")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}

// ---- Values under the pointer. Axes: {box, limits, log, x, y, lines: [{name, colour, x, y}]}, where
// box is left, bottom, width and height as fractions of the picture.

const REACH = 0.02; // of the axis, beyond the ends of a line

function nearest(values, target) {
  let best = 0;
  for (let i = 1; i < values.length; i++) {
    if (Math.abs(values[i] - target) < Math.abs(values[best] - target)) best = i;
  }
  return best;
}

// Where a value of x lies, as a fraction of the axis.
function placeOf(axes, x) {
  const [low, high] = axes.limits;
  return axes.log ? Math.log(x / low) / Math.log(high / low) : (x - low) / (high - low);
}

// The point of each line that is nearest to a place on the axis, of those lines that reach so far.
function pointsAt(axes, place) {
  return axes.lines.flatMap((line) => {
    const places = line.x.map((x) => placeOf(axes, x));
    const index = nearest(places, place);
    const beyond = place < Math.min(...places) - REACH || place > Math.max(...places) + REACH;
    const value = line.y[index];
    const y = value !== null && axes.y.includes("%") ? value.toFixed(2) : format(value);
    return beyond ? [] : [{ name: line.name, colour: line.colour, x: line.x[index], y }];
  });
}

function inside(axes, x, y) {
  const [left, bottom, width, height] = axes.box;
  return x >= left && x <= left + width && y >= bottom && y <= bottom + height;
}

function format(value) {
  return value === null ? "-" : value.toLocaleString("en", { maximumSignificantDigits: 5 });
}

function showTip(lines, event) {
  TIP.replaceChildren(...lines.map(([text, colour]) => {
    const line = document.createElement("div");
    if (colour) line.append(Object.assign(document.createElement("i"), { style: `background:${colour}` }));
    line.append(text);
    return line;
  }));
  TIP.hidden = false;
  const right = event.clientX + TIP.offsetWidth + 24 > window.innerWidth;
  TIP.style.left = `${Math.max(4, event.clientX + (right ? -TIP.offsetWidth - 12 : 12))}px`;
  const low = event.clientY + TIP.offsetHeight + 24 > window.innerHeight;
  TIP.style.top = `${Math.max(4, event.clientY + (low ? -TIP.offsetHeight - 12 : 12))}px`;
}

function follow(element, found) {
  element.addEventListener("pointermove", (event) => {
    const frame = element.getBoundingClientRect();
    const x = (event.clientX - frame.left) / frame.width;
    const y = 1 - (event.clientY - frame.top) / frame.height;
    const under = found.filter((axes) => inside(axes, x, y));
    if (under.length === 0) {
      TIP.hidden = true;
      return;
    }
    const points = under.flatMap((axes) => pointsAt(axes, (x - axes.box[0]) / axes.box[2]));
    const common = points.every((point) => point.x === points[0].x);
    const lines = points.map((point) => {
      const where = common ? "" : ` at ${format(point.x)}`;
      return [`${point.name}${where}: ${point.y}`, point.colour];
    });
    showTip(common && points.length ? [[`${under[0].x}: ${format(points[0].x)}`, null], ...lines] : lines, event);
  });
  element.addEventListener("pointerleave", () => { TIP.hidden = true; });
}

for (const picture of document.querySelectorAll("[data-figure]")) {
  follow(picture, DATA.figures[picture.dataset.figure]);
}

// ---- The curve of a run, drawn when it is opened.

const WIDEST = 640, HEIGHT = 240, LEFT = 40, BOTTOM = 24, TOP = 10, RIGHT = 10, WORD = 40;
const SERIES = [["training error (%)", "train_error", "#D55E00"], ["test error (%)", "test_error", "#0072B2"]];

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function drawRun(holder) {
  const run = DATA.runs[holder.dataset.run];
  const last = run.epoch[run.epoch.length - 1] || 1;
  const right = Math.min(WIDEST, holder.clientWidth || WIDEST) - RIGHT, width = right + RIGHT;
  const end = run.test_error[run.test_error.length - 1] ?? 50;
  const top = [2, 5, 10, 20, 50, 100].find((value) => value >= 2 * end) || 100;
  const px = (epoch) => LEFT + (epoch / last) * (right - LEFT);
  const py = (error) => HEIGHT - BOTTOM - (error / top) * (HEIGHT - BOTTOM - TOP);
  const svg = element("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img" });
  const frame = element("clipPath", { id: `clip-${holder.dataset.run}` });
  frame.append(element("rect", { x: LEFT, y: TOP, width: right - LEFT, height: HEIGHT - TOP - BOTTOM }));
  svg.append(frame);
  svg.append(element("title", {}, "Training and test error by epoch"));
  for (let i = 0; i <= 4; i++) {
    const y = py((top * i) / 4);
    svg.append(element("line", { x1: LEFT, x2: right, y1: y, y2: y, stroke: "currentColor", "stroke-opacity": 0.2 }));
    svg.append(element("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, format((top * i) / 4)));
  }
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((value) => value >= last / 5) || 1000;
  for (let epoch = 0; epoch <= last && px(epoch) < right - WORD; epoch += step) {
    svg.append(element("text", { x: px(epoch), y: HEIGHT - 6, "text-anchor": "middle" }, format(epoch)));
  }
  svg.append(element("text", { x: right, y: HEIGHT - 6, "text-anchor": "end" }, "epoch"));
  for (const [number, [name, key, colour]] of SERIES.entries()) {
    const points = run.epoch.flatMap((epoch, i) => (run[key][i] === null ? [] : [`${px(epoch)},${py(run[key][i])}`]));
    const clip = `url(#clip-${holder.dataset.run})`; // early errors lie above
    svg.append(element("polyline", { points: points.join(" "), fill: "none", "clip-path": clip, stroke: colour, "stroke-width": 1.6 }));
    const y = TOP + 14 + 15 * number;
    svg.append(element("text", { x: right - 24, y, "text-anchor": "end" }, name));
    svg.append(element("line", { x1: right - 20, x2: right - 4, y1: y - 4, y2: y - 4, stroke: colour, "stroke-width": 3 }));
  }
  holder.replaceChildren(svg);
  const box = [LEFT / width, BOTTOM / HEIGHT, (right - LEFT) / width, (HEIGHT - BOTTOM - TOP) / HEIGHT];
  const lines = SERIES.map(([name, key, colour]) => ({ name, colour, x: run.epoch, y: run[key] }));
  follow(svg, [{ box, limits: [0, last], log: false, x: "epoch", y: "error (%)", lines }]);
}

for (const run of document.querySelectorAll("details.run")) {
  run.addEventListener("toggle", () => {
    const holder = run.querySelector(".chart");
    if (run.open && holder.childElementCount === 0) drawRun(holder);
  });
}

// ---- An address within a closed part opens it.

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let part = target; part; part = part.parentElement) {
    if (part instanceof HTMLDetailsElement) part.open = true;
  }
  const first = target && target.querySelector("details.run");
  if (first) first.open = true;
  if (target) target.scrollIntoView();
}

window.addEventListener("hashchange", openTarget);
openTarget();
