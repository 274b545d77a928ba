// The largest arrays as pictures: how they are cut, and which part a device holds.
const PICTURE = {width: 232, height: 132};

function shardingTab(plan) {
  if (!plan.notes || !plan.notes.tensors.length) return [panel("Sharding", null, el("p", {class: "note"}, missingNotes(plan)))];
  const stages = plan.kind === "mesh" ? [0] : plan.stages.map((_, i) => i);
  let stage = 0, device = 0;
  const tools = el("div", {class: "tools"}), grid = el("div", {class: "tensors"});
  const show = () => {
    const mesh = meshOfStage(plan, stage), n = mesh.shape.reduce((a, b) => a * b, 1);
    device = Math.min(device, n - 1);
    const chip = (text, on, act, role) => el("button", {type: "button", class: "chip", "aria-pressed": String(on), "data-role": role, onclick: act}, text);
    const choose = (label, count, value, set, role) => count <= 16
      ? [el("span", {class: "muted"}, label), Array.from({length: count}, (_, i) => chip(i, i === value, () => { set(i); show(); }, role))]
      : [el("label", {class: "muted"}, label + " ", el("select", {"data-role": role, onchange: e => { set(+e.target.value); show(); }},
          Array.from({length: count}, (_, i) => el("option", {value: i, selected: i === value ? "" : null}, i))))];
    tools.replaceChildren(...[stages.length > 1 ? choose("stage", stages.length, stage, i => { stage = i; }, "stage") : [],
      stages.length > 1 ? el("span", {}, " ") : [], choose("device of the mesh", n, device, i => { device = i; }, "device"),
      el("span", {class: "grow"}), el("span", {class: "muted"}, `${meshText(mesh)}, axes ${mesh.axes.join(", ")}`)].flat(2));
    grid.replaceChildren(...tensorsOf(plan, stage).map(t => tensorCard(t, mesh, device, d => { device = d; show(); })));
  };
  show();
  return [panel("Sharding of the largest arrays", "Each picture is an array, cut as the devices hold it; numbers in a part are the devices that hold it, the strong part is that of the device chosen above.", tools, grid)];
}

function tensorCard(t, mesh, device, choose) {
  const parts = partsOf(t, mesh), n = mesh.shape.reduce((a, b) => a * b, 1), copies = n / parts;
  const each = t.bytes / parts;
  const cut = parts === 1 ? (n === 1 ? "whole" : `whole on each of ${n} devices`)
    : `${parts} parts` + (copies > 1 ? `, ${copies} copies of each` : "");
  return el("div", {class: "tensor"},
    el("h3", {}, el("code", {}, t.name), t.count > 1 ? el("span", {class: "muted"}, ` × ${t.count} alike`) : ""),
    el("p", {}, `${t.role}, `, el("code", {}, `${t.dtype}[${t.shape.join(",")}]`), " as ", el("code", {}, t.spec || "[]")),
    tensorPicture(t, mesh, device, choose),
    el("p", {class: "num"}, `${cut}; ${bytes(Math.round(each))} of ${bytes(t.bytes)} per device`),
    t.others.length ? el("ul", {}, t.others.map(o => el("li", {}, el("code", {}, o.spec || "[]"), ` would cost ${signed(seconds(Math.abs(o.seconds)), o.seconds)}` + (o.bytes ? `, ${signed(bytes(Math.abs(o.bytes)), o.bytes)}` : "")))) : null);
}

// Rows and columns of the picture: the two dimensions that are split, or the two largest.
function pictured(t) {
  const order = t.shape.map((_, d) => d).sort((a, b) => (t.split[b].length > 0) - (t.split[a].length > 0) || t.shape[b] - t.shape[a]);
  return order.slice(0, 2).sort((a, b) => a - b);
}

function tensorPicture(t, mesh, device, choose) {
  const dims = pictured(t), n = mesh.shape.reduce((a, b) => a * b, 1);
  const [r, c] = dims.length > 1 ? dims : [-1, dims.length ? dims[0] : -1];
  const size = d => d < 0 ? 1 : Math.max(1, t.shape[d]);
  const parts = d => d < 0 ? 1 : t.split[d].reduce((m, a) => m * mesh.shape[a], 1);
  const wish = Math.min(4, Math.max(0.25, size(c) / size(r))), room = {w: PICTURE.width - 36, h: PICTURE.height - 24};
  const w = Math.max(60, r < 0 ? room.w : Math.min(room.w, room.h * wish)), h = r < 0 ? 30 : Math.max(28, Math.min(room.h, w / wish));
  const rows = parts(r), columns = parts(c), x0 = 26, y0 = 16;
  const holders = new Map();
  for (let d = 0; d < n; ++d) {
    const piece = pieceOf(t, mesh, d), key = (r < 0 ? 0 : piece[r][0]) + "," + (c < 0 ? 0 : piece[c][0]);
    if (!holders.has(key)) holders.set(key, []);
    holders.get(key).push(d);
  }
  const all = x0 + w + x0;
  const svg = el("svg", {width: all, height: y0 + h + 4, viewBox: `0 0 ${all} ${y0 + h + 4}`, role: "img", "aria-label": `${t.name} in ${rows} × ${columns} parts`});
  const cw = w / columns, rh = h / rows;
  const cells = [];
  for (let i = 0; i < rows; ++i) for (let j = 0; j < columns; ++j) {
    const who = holders.get(i + "," + j) || [], mine = who.includes(device);
    const text = who.length === n && n > 1 ? "all" : ranges(who);
    const cell = el("g", {style: "cursor:pointer", onclick: () => choose(who[0]), tip: `held by device${who.length > 1 ? "s" : ""} ${ranges(who)}`},
      el("rect", {class: "piece" + (mine ? " mine" : ""), x: x0 + j * cw, y: y0 + i * rh, width: cw, height: rh}),
      text.length * 6.5 < cw && rh > 12 ? el("text", {class: "svg-label", x: x0 + (j + 0.5) * cw, y: y0 + (i + 0.5) * rh + 4, "text-anchor": "middle"}, text) : null);
    if (mine) cells.push(cell); else cells.unshift(cell);  // the strong ones on top
  }
  svg.append(...cells);
  const axes = d => d < 0 || !t.split[d].length ? "" : " / " + t.split[d].map(a => mesh.axes[a]).join("");
  if (c >= 0) svg.append(el("text", {class: "svg-muted", x: x0 + w / 2, y: 11, "text-anchor": "middle"}, t.shape[c] + axes(c)));
  if (r >= 0) svg.append(el("text", {class: "svg-muted", x: 0, y: 0, "text-anchor": "middle", transform: `translate(18 ${y0 + h / 2}) rotate(-90)`}, t.shape[r] + axes(r)));
  const others = t.shape.map((_, d) => d).filter(d => !dims.includes(d));
  if (!others.length) return svg;
  return el("div", {}, svg, el("p", {style: "text-align:center"}, "and ", others.map(d => `${t.shape[d]}${axes(d)}`).join(" × "), others.some(d => t.split[d].length) ? "" : " (not cut)"));
}
