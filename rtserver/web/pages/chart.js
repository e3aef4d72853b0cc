// A price over time on a canvas. Time flows by itself; points come when they come, also late and out of order.

const SPAN = 60_000; // ms that are shown, at most
const FIRST_SPAN = 15_000; // and while there is little to show
const LAG = 320; // ms: the head of the line runs between two known points, so it never jumps
const KEEP = SPAN + 15_000;
const EASE = 0.12; // how much of the way to the wanted scale one frame goes
const CREEP = 0.5; // ms a point: how fast a change of either clock is forgotten
const TICKS = [2_000, 5_000, 10_000, 20_000]; // ms between two times
const TICK_WIDTH = 76; // px
const LABELS = 66; // px at the right for prices
const FOOT = 24; // px below for times
const COLOURS = ["line", "grid", "text", "recovered", "hole", "card", "ink"]; // --chart-*: red green blue

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const steps = [1, 2, 5];

/** A round step that divides `range` into at most `count` parts. */
export function niceStep(range, count) {
  const power = 10 ** Math.floor(Math.log10(range / count));
  const found = steps.find((each) => each * power * count >= range);
  return (found ?? 10) * power;
}

export class Chart {
  #canvas;
  #brush;
  #points = []; // { at, price, offset, recovered }, by offset
  #holes = []; // { from, to }: times without a connection; to is null while it lasts
  #skew = Infinity; // ms that this clock is ahead of the server's, at most
  #scale = null;
  #colours = {};
  #font = "";
  #width = 0;
  #height = 0;
  #ratio = 1;
  #pointer = null;

  constructor(canvas) {
    this.#canvas = canvas;
    this.#brush = canvas.getContext("2d");
    new ResizeObserver(() => this.#measure()).observe(canvas);
    this.#measure();
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#dip());
    this.#dip();
    canvas.addEventListener("pointermove", (event) => (this.#pointer = event.offsetX));
    canvas.addEventListener("pointerleave", () => (this.#pointer = null));
    const calm = matchMedia("(prefers-reduced-motion: reduce)");
    const frame = () => {
      this.#draw();
      if (calm.matches) setTimeout(() => requestAnimationFrame(frame), 250);
      else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  add(point) {
    const last = this.#points.at(-1);
    if (!last || point.offset > last.offset) this.#points.push(point);
    else if (!this.#points.some(({ offset }) => offset === point.offset)) {
      this.#points.push(point);
      this.#points.sort((one, other) => one.offset - other.offset);
    }
    this.#skew = Math.min(this.#skew + CREEP, Date.now() - point.at);
    const begin = this.#points.at(-1).at - KEEP;
    while (this.#points[0].at < begin) this.#points.shift();
    this.#holes = this.#holes.filter(({ to }) => to === null || to > begin);
  }

  clear() {
    this.#points = [];
    this.#holes = [];
    this.#skew = Infinity;
  }

  /** The connection is gone: shade the time until `closeHole`. */
  openHole() {
    const last = this.#points.at(-1);
    if (last && this.#holes.at(-1)?.to !== null) this.#holes.push({ from: last.at, to: null });
  }

  closeHole() {
    const hole = this.#holes.at(-1);
    if (hole?.to === null) hole.to = this.#now();
  }

  /** First and last price that are shown. */
  get ends() {
    const begin = this.#now() - SPAN;
    return [this.#points.find(({ at }) => at >= begin), this.#points.at(-1)];
  }

  #now() {
    return Date.now() - (Number.isFinite(this.#skew) ? this.#skew : 0);
  }

  #measure() {
    const { clientWidth, clientHeight } = this.#canvas;
    const ratio = window.devicePixelRatio || 1;
    [this.#width, this.#height] = [clientWidth, clientHeight];
    this.#canvas.width = Math.round(clientWidth * ratio);
    this.#canvas.height = Math.round(clientHeight * ratio);
    this.#brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#ratio = ratio;
    this.#draw();
  }

  #dip() {
    const style = getComputedStyle(this.#canvas);
    for (const name of COLOURS) this.#colours[name] = style.getPropertyValue(`--chart-${name}`).trim();
    this.#font = `11px ${style.fontFamily}`;
  }

  #colour(name, alpha = 1) {
    return `rgb(${this.#colours[name]} / ${alpha})`;
  }

  #draw() {
    if (this.#ratio !== (window.devicePixelRatio || 1)) return this.#measure();
    const brush = this.#brush;
    brush.clearRect(0, 0, this.#width, this.#height);
    const edge = this.#now() - LAG;
    const right = this.#width - LABELS;
    const bottom = this.#height - FOOT;
    const span = Math.min(SPAN, Math.max(FIRST_SPAN, edge - this.#points[0]?.at || 0));
    const shown = this.#points.filter(({ at }) => at > edge - span - 1000);
    if (shown.length < 2) return;
    const [low, high] = this.#rescale(shown);
    const view = {
      edge,
      span,
      right,
      bottom,
      low,
      high,
      x: (at) => right - ((edge - at) / span) * right,
      y: (price) => 10 + (1 - (price - low) / (high - low)) * (bottom - 20),
    };
    brush.font = this.#font;
    const { line, head } = upTo(edge, shown);
    this.#drawGrid(view, view.y(head.price));
    this.#drawHoles(view);
    for (const run of runs(line)) this.#drawRun(view, run);
    this.#drawHead(view, head);
    if (this.#pointer !== null && this.#pointer < right) this.#drawPointer(view, shown);
  }

  #rescale(shown) {
    let [low, high] = [Infinity, -Infinity];
    for (const { price } of shown) [low, high] = [Math.min(low, price), Math.max(high, price)];
    const margin = Math.max((high - low) * 0.12, high * 0.0002);
    const wanted = [low - margin, high + margin];
    this.#scale = this.#scale ? this.#scale.map((now, i) => now + (wanted[i] - now) * EASE) : wanted;
    return this.#scale;
  }

  /** `taken`: the height of the price tag, where no other label goes. */
  #drawGrid({ edge, span, right, bottom, low, high, x, y }, taken) {
    const brush = this.#brush;
    brush.lineWidth = 1;
    brush.strokeStyle = this.#colour("grid");
    brush.fillStyle = this.#colour("text");
    brush.textBaseline = "middle";
    brush.textAlign = "left";
    const step = niceStep(high - low, Math.max(2, Math.floor(bottom / 40)));
    const digits = Math.max(2, Math.ceil(-Math.log10(step)));
    for (let price = Math.ceil(low / step) * step; price <= high; price += step) {
      this.#stroke(0, Math.round(y(price)) + 0.5, right, Math.round(y(price)) + 0.5);
      if (Math.abs(y(price) - taken) > 16) brush.fillText(price.toFixed(digits), right + 11, y(price));
    }
    brush.textAlign = "center";
    const every = TICKS.find((each) => (each / span) * right >= TICK_WIDTH) ?? SPAN;
    for (let at = Math.ceil((edge - span) / every) * every; at <= edge; at += every) {
      this.#stroke(x(at), 0, x(at), bottom);
      if (x(at) > 26 && x(at) < right - 10) brush.fillText(clock.format(at), x(at), bottom + 14);
    }
  }

  #drawHoles({ edge, bottom, right, x }) {
    const brush = this.#brush;
    brush.fillStyle = this.#colour("hole", 0.1);
    for (const { from, to } of this.#holes) {
      const begin = Math.max(0, x(from));
      const end = Math.min(right, x(to ?? edge));
      if (end > begin) brush.fillRect(begin, 0, end - begin, bottom);
    }
  }

  #drawRun({ x, y, bottom }, { recovered, points }) {
    const brush = this.#brush;
    const path = new Path2D();
    points.forEach(({ at, price }, i) => (i ? path.lineTo(x(at), y(price)) : path.moveTo(x(at), y(price))));
    const area = new Path2D(path);
    area.lineTo(x(points.at(-1).at), bottom);
    area.lineTo(x(points[0].at), bottom);
    const fade = brush.createLinearGradient(0, 0, 0, bottom);
    const kind = recovered ? "recovered" : "line";
    fade.addColorStop(0, this.#colour(kind, 0.28));
    fade.addColorStop(1, this.#colour(kind, 0));
    brush.fillStyle = fade;
    brush.fill(area);
    brush.strokeStyle = this.#colour(kind);
    brush.lineWidth = recovered ? 2.5 : 2;
    brush.lineJoin = brush.lineCap = "round";
    brush.stroke(path);
  }

  #drawHead({ x, y, right }, { at, price, newest, fresh }) {
    const brush = this.#brush;
    const [left, top] = [x(at), y(price)];
    if (left < 0) return;
    const colour = this.#colour(fresh ? "line" : "text");
    brush.strokeStyle = brush.fillStyle = colour;
    brush.lineWidth = 1;
    brush.setLineDash([3, 4]);
    this.#stroke(0, Math.round(top) + 0.5, right, Math.round(top) + 0.5);
    brush.setLineDash([]);
    brush.globalAlpha = 0.22;
    this.#dot(left, top, fresh ? 7 + 2.5 * Math.sin(performance.now() / 260) : 7);
    brush.globalAlpha = 1;
    this.#dot(left, top, 4);
    this.#tag(newest.toFixed(5), right + 5, top, colour);
  }

  #drawPointer({ x, y, bottom, right }, shown) {
    const brush = this.#brush;
    const near = (point) => Math.abs(x(point.at) - this.#pointer);
    const point = shown.reduce((best, each) => (near(each) < near(best) ? each : best));
    const [left, top] = [x(point.at), y(point.price)];
    if (left > right) return;
    brush.strokeStyle = this.#colour("text");
    brush.lineWidth = 1;
    this.#stroke(left, 0, left, bottom);
    brush.fillStyle = this.#colour(point.recovered ? "recovered" : "line");
    this.#dot(left, top, 4);
    const text = `${point.price.toFixed(5)}  #${point.offset}${point.recovered ? "  recovered" : ""}`;
    const wide = brush.measureText(text).width + 12;
    this.#tag(text, Math.min(Math.max(0, left - wide / 2), right - wide), 11, this.#colour("ink"));
  }

  #tag(text, left, middle, colour) {
    const brush = this.#brush;
    brush.fillStyle = colour;
    brush.beginPath();
    brush.roundRect(left, middle - 10, brush.measureText(text).width + 12, 20, 5);
    brush.fill();
    brush.fillStyle = this.#colour("card");
    brush.textAlign = "left";
    brush.textBaseline = "middle";
    brush.fillText(text, left + 6, middle + 0.5);
  }

  #stroke(fromX, fromY, toX, toY) {
    this.#brush.beginPath();
    this.#brush.moveTo(fromX, fromY);
    this.#brush.lineTo(toX, toY);
    this.#brush.stroke();
  }

  #dot(x, y, radius) {
    this.#brush.beginPath();
    this.#brush.arc(x, y, radius, 0, 2 * Math.PI);
    this.#brush.fill();
  }
}

/** The line up to the edge. Its head lies between two points while they keep coming, else on the last one. */
function upTo(edge, shown) {
  const next = shown.findIndex(({ at }) => at > edge);
  const newest = shown.at(-1);
  if (next <= 0) return { line: shown, head: { ...newest, newest: newest.price, fresh: false } };
  const [from, to] = [shown[next - 1], shown[next]];
  const price = from.price + ((to.price - from.price) * (edge - from.at)) / (to.at - from.at);
  const head = { ...to, at: edge, price, newest: newest.price, fresh: true };
  return { line: [...shown.slice(0, next), head], head };
}

/** Stretches of one kind. A missing offset breaks the line: what was lost is not drawn over. */
function runs(points) {
  const found = [];
  points.forEach((point, i) => {
    const before = points[i - 1];
    const joined = before && point.offset - before.offset <= 1;
    const recovered = Boolean(point.recovered);
    const run = found.at(-1);
    if (joined && run.recovered === recovered) run.points.push(point);
    else found.push({ recovered, points: joined ? [before, point] : [point] });
  });
  return found;
}
