// A picture of rows over time: bars, curves, arrows between rows. Zoomed by wheel, keys and buttons, moved by dragging.
const KINDS = [
  {name: "forward", letter: "F", fill: "f", text: "on-f"},
  {name: "backward", letter: "B", fill: "b", text: "on-b"},
  {name: "weight gradients", letter: "W", fill: "w", text: "on-w"},
  {name: "update", letter: "U", fill: "u", text: "on-u"},
  {name: "communication", letter: "C", fill: "c", text: "on-c"},
];
const GUTTER = 132, AXIS = 24;

class TimeView {
  // rows: {label, sub, height, bars: {n, kind, start, end, part, text(i), tip(i)}} (bars in order, none overlapping), or
  // {label, sub, height, curve: {time, value, n, top, limit, tip(i)}}. arrows: {n, start, end, from, to, kind, part}.
  // Bars with equal `part` (>= 0) are of one microbatch. Options: span (seconds), still (no zooming), onpick(row, bar).
  constructor(rows, options) {
    this.rows = rows;
    this.options = options;
    this.span = options.span > 0 ? options.span : 1;
    this.from = 0;
    this.to = this.span;
    this.picked = null;
    this.axis = el("canvas", {class: "axis", "aria-hidden": "true"});
    this.canvas = el("canvas", options.still ? {role: "img", "aria-label": options.name}
      : {tabindex: "0", role: "application", "aria-label": options.name + ": arrows move, plus and minus zoom, 0 shows all"});
    this.scroll = el("div", {class: "scroll"}, this.canvas);
    this.node = el("div", {class: "view" + (options.still ? " still" : "")}, this.axis, this.scroll);
    this.place = el("span", {class: "muted num", "data-role": "span"});
    let y = 0;
    for (const r of rows) { r.top = y; y += r.height + (r.gap || 0); }
    this.height = y + 4;
    this.canvas.style.height = this.height + "px";  // before it is drawn as well, so that nothing jumps
    this.axis.style.height = AXIS + "px";
    this.scroll.style.maxHeight = (options.most || 640) + "px";
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.node);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.patterns = null; this.draw(); });
  }

  buttons() {
    const b = (text, label, act) => el("button", {type: "button", "aria-label": label, title: label, onclick: act}, text);
    return [b("−", "zoom out", () => this.zoom(2)), b("+", "zoom in", () => this.zoom(0.5)),
            b("◀", "earlier", () => this.move(-0.25)), b("▶", "later", () => this.move(0.25)),
            b("all", "show the whole step", () => this.show(0, this.span)), this.place];
  }

  show(from, to) {
    const least = this.span * 1e-6;
    let width = Math.min(Math.max(to - from, least), this.span);
    from = Math.min(Math.max(from, 0), this.span - width);
    this.from = from;
    this.to = from + width;
    hideTip();
    this.draw();
  }
  zoom(factor, at) {
    if (at === undefined) at = (this.from + this.to) / 2;
    this.show(at - (at - this.from) * factor, at + (this.to - at) * factor);
  }
  move(share) { const by = share * (this.to - this.from); this.show(this.from + by, this.to + by); }

  timeAt(x) { return this.from + (x - GUTTER) / (this.width - GUTTER) * (this.to - this.from); }
  xAt(time) { return GUTTER + (time - this.from) / (this.to - this.from) * (this.width - GUTTER); }

  // What lies at a point of the canvas: {row, bar} or {row, point}.
  at(x, y) {
    const row = this.rows.find(r => y >= r.top && y < r.top + r.height);
    if (!row || x < GUTTER) return row ? {row} : null;
    const time = this.timeAt(x);
    if (row.bars) {
      const slack = (this.to - this.from) / this.width;
      const i = firstAfter(row.bars.end, row.bars.n, time - slack);
      return i < row.bars.n && row.bars.start[i] <= time + slack ? {row, bar: i} : {row};
    }
    if (!row.curve || row.curve.n === 0) return {row};
    return {row, point: Math.max(0, firstAfter(row.curve.time, row.curve.n, time) - 1), time};
  }

  tipAt(hit) {
    if (!hit) return null;
    if (hit.bar !== undefined) return hit.row.bars.tip(hit.bar);
    if (hit.point !== undefined) return hit.row.curve.tip(hit.point, hit.time);
    return hit.row.tip || null;
  }

  pick(row, bar) {
    this.picked = row === null ? null : {row, bar};
    if (this.options.onpick) this.options.onpick(row, bar);
    this.draw();
  }

  listen() {
    const c = this.canvas;
    let drag = null, moved = false;
    c.addEventListener("pointerdown", e => { drag = {x: e.offsetX, from: this.from, to: this.to}; moved = false; });
    c.addEventListener("pointermove", e => {
      if (drag && !this.options.still && e.buttons) {
        const by = (e.offsetX - drag.x) / (this.width - GUTTER) * (drag.to - drag.from);
        if (Math.abs(e.offsetX - drag.x) > 3) { moved = true; c.setPointerCapture(e.pointerId); }
        if (moved) return this.show(drag.from - by, drag.to - by);
      }
      const text = this.tipAt(this.at(e.offsetX, e.offsetY));
      if (text) showTip(text, e.clientX, e.clientY); else hideTip();
    });
    c.addEventListener("pointerleave", hideTip);
    c.addEventListener("pointerup", e => {
      if (!drag) return;
      drag = null;
      if (moved) return;
      if (this.options.still) return this.options.onpick && this.options.onpick();
      const hit = this.at(e.offsetX, e.offsetY);
      if (hit && hit.bar !== undefined) this.pick(hit.row, hit.bar); else this.pick(null);
    });
    if (this.options.still) return;
    c.addEventListener("wheel", e => {
      e.preventDefault();
      if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) this.move((e.deltaX || e.deltaY) / 800);
      else this.zoom(Math.pow(1.0016, Math.max(-300, Math.min(300, e.deltaY * (e.deltaMode ? 30 : 1)))), this.timeAt(Math.max(GUTTER, e.offsetX)));
    }, {passive: false});
    c.addEventListener("keydown", e => {
      if (e.ctrlKey || e.metaKey || e.altKey) return;
      const act = {"+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), "0": () => this.show(0, this.span),
        Home: () => this.show(0, this.to - this.from), End: () => this.show(this.span, this.span + this.to - this.from),
        ArrowLeft: () => this.move(-0.2), ArrowRight: () => this.move(0.2), Escape: () => this.pick(null)}[e.key];
      if (act) { e.preventDefault(); act(); }
    });
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.paint(); });
  }

  paint() {
    const width = this.scroll.clientWidth;
    if (width < 50) return;
    this.width = width;
    this.colours = Object.fromEntries(["text", "muted", "line", "faint", "card", "hit", "limit", "act", "cot", "hatch",
      ...KINDS.flatMap(k => [k.fill, k.text])].map(n => [n, colour(n)]));
    const g = sized(this.canvas, width, this.height);
    if (!this.patterns) this.patterns = makePatterns(g, this.colours);
    g.fillStyle = this.colours.card;
    g.fillRect(0, 0, width, this.height);
    for (const r of this.rows) this.paintRow(g, r);
    if (this.options.arrows) this.paintArrows(g, this.options.arrows);
    for (const r of this.rows) this.paintLabel(g, r);
    this.paintAxis();
    const whole = this.to - this.from >= this.span * 0.999999;
    this.place.textContent = whole ? seconds(this.span) + ", the whole step"
      : `${seconds(this.from)} to ${seconds(this.to)} of ${seconds(this.span)}`;
    this.node.dataset.from = this.from;
    this.node.dataset.to = this.to;
  }

  paintAxis() {
    const g = sized(this.axis, this.width, AXIS);
    g.fillStyle = this.colours.card;
    g.fillRect(0, 0, this.width, AXIS);
    const width = this.to - this.from;
    const step = niceStep(width / Math.max(2, (this.width - GUTTER) / 110));
    const places = Math.max(0, Math.ceil(-Math.log10(step / unitOf(this.to).size) - 1e-9));
    const unit = unitOf(this.to);
    g.font = "11px system-ui, sans-serif";
    g.textAlign = "center";
    for (let k = Math.ceil(this.from / step); k * step <= this.to + step * 1e-6; ++k) {
      const x = this.xAt(k * step);
      g.fillStyle = this.colours.line;
      g.fillRect(Math.round(x), AXIS - 5, 1, 5);
      g.fillStyle = this.colours.muted;
      if (x < this.width - 20) g.fillText((k * step / unit.size).toFixed(places) + " " + unit.name, x, AXIS - 9);
    }
    if (this.options.axis) {
      g.textAlign = "left";
      g.fillStyle = this.colours.muted;
      g.fillText(this.options.axis, 6, AXIS - 9);
    }
  }

  paintLabel(g, r) {
    g.fillStyle = this.colours.card;
    g.fillRect(0, r.top, GUTTER - 2, r.height + (r.gap || 0));
    g.fillStyle = this.colours.line;
    g.fillRect(GUTTER - 2, r.top, 1, r.height);
    g.textAlign = "left";
    g.fillStyle = this.colours.text;
    g.font = "12px system-ui, sans-serif";
    const two = r.sub && r.height >= 30;
    if (r.height >= 10) g.fillText(fit(g, r.label, GUTTER - 12), 6, r.top + (two ? 13 : r.height / 2 + 4));
    if (!two) return;
    g.font = "11px system-ui, sans-serif";
    g.fillStyle = this.colours.muted;
    String(r.sub).split("\n").forEach((line, i) => {
      if (13 + 13 * (i + 1) <= r.height) g.fillText(fit(g, line, GUTTER - 12), 6, r.top + 26 + 13 * i);
    });
  }

  paintRow(g, r) {
    g.fillStyle = this.colours.faint;
    if (r.bars) g.fillRect(GUTTER, r.top + r.height / 2, this.width - GUTTER, 1);
    if (r.bars) this.paintBars(g, r);
    if (r.curve) this.paintCurve(g, r);
  }

  paintBars(g, r) {
    const b = r.bars, full = r.height - 4;
    const begin = firstAfter(b.end, b.n, this.from);
    const end = firstAfter(b.start, b.n, this.to);
    const picked = this.picked ? this.picked.row.bars.part[this.picked.bar] : -1;
    const dim = picked >= 0;
    if (end - begin > (this.width - GUTTER) / 2.5) return this.paintDense(g, r, begin, end, picked);
    g.font = "600 11px system-ui, sans-serif";
    g.textAlign = "center";
    for (let i = begin; i < end; ++i) {
      const x0 = Math.max(GUTTER, this.xAt(b.start[i])), x1 = Math.min(this.width, this.xAt(b.end[i]));
      const w = Math.max(1, x1 - x0), kind = KINDS[b.kind[i]];
      const low = b.low === b.kind[i], h = low ? Math.min(7, full) : full, y = r.top + 2 + full - h;
      g.globalAlpha = dim && b.part[i] !== picked ? 0.28 : 1;
      g.fillStyle = this.colours[kind.fill];
      g.fillRect(x0, y, w, h);
      if (w > 5 && h > 5 && this.patterns[b.kind[i]]) {
        g.fillStyle = this.patterns[b.kind[i]];
        g.fillRect(x0, y, w, h);
      }
      if (w > 3) {
        g.fillStyle = this.colours.card;
        g.fillRect(x1 - 1, y, 1, h);
      }
      if (this.picked && this.picked.row === r && this.picked.bar === i) {
        g.strokeStyle = this.colours.hit;
        g.lineWidth = 2;
        g.strokeRect(x0 + 1, y + 1, Math.max(1, w - 2), h - 2);
      }
      if (w < 14 || h < 10) continue;
      const text = b.text(i), tw = g.measureText(text).width;
      if (tw + 6 > w) continue;
      g.fillStyle = this.colours[kind.fill];
      if (this.patterns[b.kind[i]]) g.fillRect((x0 + x1 - tw) / 2 - 2, y + h / 2 - 7, tw + 4, 14);
      g.fillStyle = this.colours[kind.text];
      g.fillText(text, (x0 + x1) / 2, y + h / 2 + 4);
    }
    g.globalAlpha = 1;
  }

  // More bars than pixels: in each column, how much of its time each kind has.
  paintDense(g, r, begin, end, picked) {
    const b = r.bars, y = r.top + 2, h = r.height - 4, columns = Math.ceil(this.width - GUTTER);
    const share = new Float32Array(columns * KINDS.length), mark = new Uint8Array(columns);
    const wide = Math.max(1, Math.ceil((b.smooth || 12) * columns / (end - begin)));  // so many columns have the same, else it flickers
    for (let i = begin; i < end; ++i) {
      const x0 = Math.max(0, this.xAt(b.start[i]) - GUTTER), x1 = Math.min(columns, this.xAt(b.end[i]) - GUTTER);
      if (picked >= 0 && b.part[i] === picked) mark[Math.min(columns - 1, Math.floor(x0))] = 1;
      for (let c = Math.floor(x0 / wide) * wide; c < x1; c += wide)
        share[c * KINDS.length + b.kind[i]] += (Math.min(x1, c + wide) - Math.max(x0, c)) / Math.min(wide, columns - c);
    }
    for (let c = 0; c < columns; ++c) {
      const of = c - c % wide;
      if (of !== c) for (let k = 0; k < KINDS.length; ++k) share[c * KINDS.length + k] = share[of * KINDS.length + k];
    }
    const base = new Float32Array(columns);
    for (let k = 0; k < KINDS.length; ++k) {
      g.fillStyle = this.colours[KINDS[k].fill];
      let runFrom = 0, top = -1, size = 0;
      for (let c = 0; c <= columns; ++c) {
        let t = 0, s = 0;
        if (c < columns) {
          t = Math.round(base[c] * h);
          s = Math.round(Math.min(1, base[c] + share[c * KINDS.length + k]) * h) - t;
          base[c] += share[c * KINDS.length + k];
        }
        if (c < columns && t === top && s === size) continue;
        if (size > 0 && c > runFrom) g.fillRect(GUTTER + runFrom, y + h - top - size, c - runFrom, size);
        runFrom = c;
        top = t;
        size = s;
      }
    }
    g.fillStyle = this.colours.hit;
    for (let c = 0; c < columns; ++c) if (mark[c]) g.fillRect(GUTTER + c, y - 2, 2, h + 4);
  }

  paintCurve(g, r) {
    const c = r.curve, h = r.height - 6, bottom = r.top + r.height - 2;
    const yAt = v => bottom - Math.min(1, v / c.top) * h;
    let i = Math.max(0, firstAfter(c.time, c.n, this.from) - 1);
    g.beginPath();
    g.moveTo(GUTTER, bottom);
    let x = GUTTER, column = -1, high = 0, low = 0, value = 0;
    for (; i < c.n && c.time[i] <= this.to; ++i) {
      x = Math.max(GUTTER, this.xAt(c.time[i]));
      const here = Math.floor(x);
      if (here === column) {  // several in one pixel: the highest shows
        high = Math.max(high, c.value[i]);
        value = c.value[i];
        continue;
      }
      if (column >= 0) { g.lineTo(column + 0.5, yAt(high)); g.lineTo(column + 1, yAt(value)); }
      if (column >= 0) g.lineTo(x, yAt(value));
      g.lineTo(x, yAt(c.value[i]));
      column = here;
      high = value = c.value[i];
    }
    if (column >= 0) g.lineTo(Math.min(this.width, column + 0.5), yAt(high));
    const last = Math.min(this.width, this.xAt(this.span));
    g.lineTo(last, yAt(value));
    g.lineTo(last, bottom);
    g.closePath();
    g.globalAlpha = 0.35;
    g.fillStyle = this.colours.f;
    g.fill();
    g.globalAlpha = 1;
    g.strokeStyle = this.colours.f;
    g.lineWidth = 1.25;
    g.stroke();
    if (c.limit && c.limit <= c.top) {
      g.strokeStyle = this.colours.limit;
      g.setLineDash([6, 4]);
      g.lineWidth = 1.5;
      g.beginPath();
      g.moveTo(GUTTER, yAt(c.limit));
      g.lineTo(this.width, yAt(c.limit));
      g.stroke();
      g.setLineDash([]);
    }
    g.fillStyle = this.colours.line;
    g.fillRect(GUTTER, bottom, this.width - GUTTER, 1);
  }

  // What passes between rows: a line from the end of its row to that of the reader, as long as single ones can be seen.
  paintArrows(g, a) {
    const picked = this.picked ? this.picked.row.bars.part[this.picked.bar] : -1;
    const begin = Math.max(0, firstAfter(a.start, a.n, this.from - a.longest));
    const end = firstAfter(a.start, a.n, this.to);
    const many = end - begin > 500;
    for (let i = begin; i < end; ++i) {
      if (a.end[i] < this.from || a.from[i] === a.to[i]) continue;
      const mine = picked >= 0 && a.part[i] === picked;
      if ((many || picked >= 0) && !mine) continue;
      const from = this.rows[a.from[i]], to = this.rows[a.to[i]];
      if (!from || !to) continue;
      const down = to.top > from.top;
      const x0 = this.xAt(a.start[i]), x1 = this.xAt(a.end[i]);
      const y0 = from.top + (down ? from.height - 3 : 3), y1 = to.top + (down ? 3 : to.height - 3);
      g.strokeStyle = this.colours[a.kind[i] === 1 ? "cot" : "act"];
      g.lineWidth = mine ? 2.5 : 1.25;
      g.setLineDash(a.kind[i] === 1 ? [4, 3] : []);
      g.beginPath();
      g.moveTo(x0, y0);
      g.lineTo(x1, y1);
      g.stroke();
      g.setLineDash([]);
      g.fillStyle = g.strokeStyle;
      g.beginPath();
      g.arc(x1, y1, mine ? 3 : 2, 0, 7);
      g.fill();
    }
  }
}

// The first index of ascending `list` whose entry is above `x`.
function firstAfter(list, n, x) {
  let low = 0, high = n;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (list[mid] > x) high = mid; else low = mid + 1;
  }
  return low;
}

function sized(canvas, width, height) {
  const scale = Math.min(2, devicePixelRatio || 1);
  const w = Math.round(width * scale), h = Math.round(height * scale);
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.height = height + "px";
  }
  const g = canvas.getContext("2d");
  g.setTransform(scale, 0, 0, scale, 0, 0);
  return g;
}

function makePatterns(g, colours) {
  const make = paint => {
    const tile = el("canvas", {width: "8", height: "8"});
    const t = tile.getContext("2d");
    t.strokeStyle = t.fillStyle = colours.hatch;
    t.lineWidth = 1;
    paint(t);
    return g.createPattern(tile, "repeat");
  };
  const lines = (t, list) => { t.beginPath(); for (const [a, b, c, d] of list) { t.moveTo(a, b); t.lineTo(c, d); } t.stroke(); };
  return [null, make(t => lines(t, [[-2, 10, 10, -2], [-2, 2, 2, -2], [6, 10, 10, 6]])),
          make(t => { for (const [x, y] of [[2, 2], [6, 6]]) { t.beginPath(); t.arc(x, y, 1.2, 0, 7); t.fill(); } }),
          make(t => lines(t, [[0, 4, 8, 4], [4, 0, 4, 8]])), make(t => lines(t, [[-2, -2, 10, 10], [-2, 6, 2, 10], [6, -2, 10, 2]]))];
}

function niceStep(x) {
  const power = Math.pow(10, Math.floor(Math.log10(x)));
  for (const k of [1, 2, 5, 10]) if (k * power >= x) return k * power;
  return 10 * power;
}
function unitOf(s) {
  return s >= 1 ? {size: 1, name: "s"} : s >= 1e-3 ? {size: 1e-3, name: "ms"} : s >= 1e-6 ? {size: 1e-6, name: "µs"} : {size: 1e-9, name: "ns"};
}
function fit(g, text, width) {
  text = String(text);
  if (g.measureText(text).width <= width) return text;
  while (text.length > 1 && g.measureText(text + "…").width > width) text = text.slice(0, -1);
  return text + "…";
}
