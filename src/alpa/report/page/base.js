"use strict";
// What all parts of the page use: the data, elements, numbers as text, tooltips.
const DATA = JSON.parse(document.getElementById("data").textContent);

// An element with attributes (on* are listeners) and children (elements or text; nothing is parsed as markup).
function el(tag, attributes, ...children) {
  const svg = /^(svg|rect|line|text|path|g|title|polyline)$/.test(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "tip") withTip(node, value);
    else node.setAttribute(key, value);
  }
  node.append(...children.flat(3).filter(c => c !== null && c !== undefined && c !== false));
  return node;
}

function seconds(s) {
  if (s === null || s === undefined || !isFinite(s)) return "?";
  const a = Math.abs(s);
  if (a === 0) return "0 s";
  if (a >= 0.9995) return digits(s) + " s";
  if (a >= 0.9995e-3) return digits(s * 1e3) + " ms";
  if (a >= 0.9995e-6) return digits(s * 1e6) + " µs";
  return digits(s * 1e9) + " ns";
}

function bytes(b) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let u = 0;
  while (Math.abs(b) >= 999.5 && u + 1 < units.length) { b /= 1024; ++u; }
  return (u ? digits(b) : String(b)) + " " + units[u];
}

function metric(x, unit) {
  const units = ["", "k", "M", "G", "T", "P", "E", "Z"];
  let u = 0;
  while (Math.abs(x) >= 999.5 && u + 1 < units.length) { x /= 1000; ++u; }
  return digits(x) + " " + units[u] + unit;
}

// Three significant digits.
function digits(x) {
  const a = Math.abs(x);
  return x.toFixed(a >= 99.95 ? 0 : a >= 9.995 ? 1 : 2);
}

function percent(share, places) {
  if (places === undefined && share > 0 && share < 0.0005) return "< 0.1 %";
  return (100 * share).toFixed(places === undefined ? (Math.abs(share) < 0.0995 ? 1 : 0) : places) + " %";
}
function signed(text, x) { return (x >= 0 ? "+" : "−") + text; }
function plural(n, noun, ending) { return n + " " + noun + (n === 1 ? "" : ending || "s"); }
function sum(list) { return list.reduce((a, b) => a + b, 0); }
function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim(); }

// Numbers in short ranges: [0,1,2,5] -> "0–2, 5".
function ranges(numbers) {
  const out = [];
  for (let i = 0; i < numbers.length; ) {
    let j = i;
    while (j + 1 < numbers.length && numbers[j + 1] === numbers[j] + 1) ++j;
    out.push(j > i ? numbers[i] + "–" + numbers[j] : String(numbers[i]));
    i = j + 1;
  }
  return out.join(", ");
}

const tip = document.getElementById("tip");
function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - box.width - 8)) + "px";
  tip.style.top = (y + 18 + box.height > innerHeight ? Math.max(4, y - box.height - 10) : y + 18) + "px";
}
function hideTip() { tip.hidden = true; }
function withTip(node, text) {
  node.addEventListener("pointermove", e => showTip(typeof text === "function" ? text() : text, e.clientX, e.clientY));
  node.addEventListener("pointerleave", hideTip);
  node.setAttribute("aria-label", typeof text === "function" ? "" : text);
}

// A bar of parts that add up to at most `whole`: [share, class, letter, tip]. `limit`: a mark at this share.
function stackedBar(parts, whole, limit) {
  const bar = el("div", {class: "bar"});
  for (const [value, kind, letter, text] of parts) {
    if (value <= 0) continue;
    const width = 100 * value / whole;
    bar.append(el("i", {class: kind, style: `width:${width}%`, tip: text}, width > 7 ? letter || "" : ""));
  }
  if (limit !== undefined && limit <= whole) bar.append(el("span", {class: "limit", style: `left:calc(${100 * limit / whole}% - 2px)`}));
  return bar;
}

function legend(entries) {
  return el("div", {class: "legend"}, entries.map(([kind, letter, text]) =>
    el("span", {}, el("i", {class: "swatch " + kind}, letter), text)));
}

function table(head, rows) {
  return el("div", {class: "scroll-x"}, el("table", {},
    el("thead", {}, el("tr", {}, head.map(h => h[0] === ">" ? el("th", {class: "right"}, h.slice(1)) : el("th", {}, h)))),
    el("tbody", {}, rows)));
}
function row(cells, attributes) {
  return el("tr", attributes || {}, cells.map((c, i) => c instanceof Node ? el("td", {}, c)
    : String(c)[0] === ">" ? el("td", {class: "right"}, String(c).slice(1)) : el("td", {}, c)));
}
function panel(title, text, ...children) {
  return el("section", {class: "panel"}, title && el("h2", {}, title), text && el("p", {}, text), children);
}
