// The plan at a glance: layers on stages on devices, and where the time goes.
function placeText(plan, s) {
  const [host, hosts, device, devices] = s.place;
  const which = devices === 1 ? String(device) : `${device}–${device + devices - 1}`;
  const single = plan.hosts ? plan.hosts.length === 1 : false;
  if (hosts > 1) return `hosts ${host}–${host + hosts - 1}`;
  return single ? (devices === 1 ? "device " : "devices ") + which : `host ${host}: ${which}`;
}
function meshText(mesh) { return mesh.shape.length > 1 ? "mesh " + mesh.shape.join(" × ") : "mesh of " + mesh.shape[0]; }

function layerName(plan, l) {
  const note = plan.notes && plan.notes.layers[l];
  return note && note.name ? note.name : "layer " + l;
}
function layerTip(plan, l) {
  const note = plan.notes && plan.notes.layers[l];
  return `layer ${l}` + (note ? `${note.name ? ": " + note.name : ""}\nforward ${metric(note.forward, "FLOP")}, backward ${metric(note.backward, "FLOP")}\nparameters ${bytes(note.parameters)}` : "");
}

// A device as a small square; more than `most` as text.
function smallDevices(s, index, most) {
  const n = s.place[1] * s.place[3];
  const columns = s.mesh.shape.length > 1 ? s.mesh.shape[s.mesh.shape.length - 1] : Math.min(n, 8);
  if (n > most) return el("span", {}, `${n} devices`);
  const squares = [];
  for (let d = 0; d < n; ++d) squares.push(el("span", {class: "dev" + (index % 2 ? " odd" : "")}, index));
  return el("span", {class: "devs", style: `grid-template-columns:repeat(${Math.min(columns, 8)},18px)`}, squares);
}

function stagesPanel(plan) {
  const cells = [];
  const cell = (kind, ...children) => cells.push(el("div", {class: "cell " + kind}, children));
  for (const title of ["Stage", `Layers (${plan.layer_count})`, "Devices", "Time of a microbatch", "Memory of a device"]) cell("head", title);
  const slowest = Math.max(...plan.stages.map(s => s.forward_s + s.backward_s));
  const split = plan.schedule === "zb-h1";
  plan.stages.forEach((s, i) => {
    cell("", el("span", {class: "name"}, i), el("small", {}, s.recompute ? "recomputes" : "", s.chunk ? " chunk " + s.chunk : ""));
    const boxes = [];
    const width = 100 / plan.layer_count;
    for (let l = s.first; l <= s.last; ++l)
      boxes.push(el("div", {class: "layer", style: `left:${l * width}%;width:${width}%`, tip: layerTip(plan, l)}, plan.layer_count <= 40 ? layerName(plan, l).replace(/, .*/, "…") : ""));
    cell(i % 2 ? "odd" : "", el("div", {class: "layers"}, boxes),
      plan.layer_count > 12 ? el("small", {style: s.first / plan.layer_count < 0.6 ? `margin-left:${100 * s.first / plan.layer_count}%` : `margin-right:${100 - 100 * (s.last + 1) / plan.layer_count}%;text-align:right`}, s.first === s.last ? layerName(plan, s.first) : `${layerName(plan, s.first)} to ${layerName(plan, s.last)}`) : null);
    cell("", smallDevices(s, i, 16), el("small", {}, `${placeText(plan, s)}, ${meshText(s.mesh)}`));
    const b = split ? s.backward_s - s.weight_s : s.backward_s;
    cell("num", stackedBar([[s.forward_s, "k-f", "F", `forward ${seconds(s.forward_s)}`], [b, "k-b", "B", `backward ${seconds(b)}`],
      [split ? s.weight_s : 0, "k-w", "W", `weight gradients ${seconds(s.weight_s)}`]], slowest),
      el("small", {tip: `forward ${seconds(s.forward_s)}\nbackward ${seconds(s.backward_s)}\nonce per step ${seconds(s.per_step_s)}`}, `${seconds(s.forward_s + s.backward_s)}, and ${seconds(s.per_step_s)} a step`));
    const limit = plan.limits[s.type];
    cell("num", memoryBar(plan, s), el("small", {}, limit ? `${bytes(s.peak)}, ${percent(s.peak / limit)} of ${s.type}` : `${bytes(s.peak)} of ${s.type}`));
  });
  return panel("Layers on stages, stages on devices", null,
    el("div", {class: "stages" + (plan.stages.length > 16 ? " many" : "")}, cells),
    el("div", {style: "margin-top:8px"}, legend([...KIND_LEGEND.slice(0, split ? 3 : 2), ["k-state", "S", "state"], ["k-act", "A", "activations in flight"], ["k-work", "W", "workspace"]])));
}

// Device-seconds of a step by what they are spent on.
function spentOfMesh(plan, m) {
  const bars = barsOfMesh(plan, m), spent = [0, 0, 0, 0];
  for (let i = 0; i < bars.n; ++i) spent[bars.kind[i]] += bars.end[i] - bars.start[i];
  if (plan.timeline.left_out) {  // the picture lacks some: by the stages' times
    const mine = plan.stages.filter(s => s.on === m), split = plan.schedule === "zb-h1", k = plan.microbatches;
    return [sum(mine.map(s => s.forward_s)) * k, sum(mine.map(s => s.backward_s - (split ? s.weight_s : 0))) * k,
            split ? sum(mine.map(s => s.weight_s)) * k : 0, sum(mine.map(s => s.per_step_s))];
  }
  return spent;
}

function timePanel(plan) {
  if (!plan.timeline) return null;
  const t = plan.timeline, sizes = t.meshes.map((_, m) => { const s = plan.stages.find(x => x.on === m); return s.place[1] * s.place[3]; });
  const devices = sum(sizes), spent = t.meshes.map((_, m) => spentOfMesh(plan, m));
  const parts = (f, wait, idle) => [[f[0], "k-f", "F"], [f[1], "k-b", "B"], [f[2], "k-w", "W"], [f[3], "k-u", "U"], [wait, "k-wait", ""], [idle, "k-idle", ""]];
  const names = ["forward", "backward", "weight gradients", "update", "waiting for transfers", "bubble"];
  const bar = (list, whole) => stackedBar(list.map((p, i) => [p[0], p[1], p[2], `${names[i]}: ${percent(p[0] / whole)}, ${seconds(p[0])} of ${seconds(whole)}`]), whole);
  const mean = (f) => sum(t.meshes.map((use, m) => sizes[m] * f(use, m))) / devices;
  const all = parts([0, 1, 2, 3].map(k => mean((_, m) => spent[m][k])), mean(u => u.waiting_s), mean(u => u.bubble_s));
  const lines = all.map((p, i) => p[0] > 0 ? row([el("span", {}, el("i", {class: "swatch " + p[1]}, p[2]), " " + names[i]), ">" + percent(p[0] / t.makespan_s), ">" + seconds(p[0])]) : null);
  const collectives = plan.stages.every(s => s.layout) ? plan.stages.map(s => [s.layout.communication_s, s.layout.compute_s + s.layout.communication_s, s.place[1] * s.place[3]]) : null;
  const share = collectives ? sum(collectives.map(c => c[0] * c[2])) / sum(collectives.map(c => c[1] * c[2])) : null;
  const worst = plan.stages.map((s, i) => [s.forward_s + s.backward_s + s.per_step_s / plan.microbatches, i]).sort((a, b) => b[0] - a[0])[0];
  const busiest = t.links.slice().sort((a, b) => b.busy_s - a.busy_s)[0];
  const link = {within: "links within host", out: "network out of host", in: "network into host"};
  return panel("Where the time goes", "All devices' time in a step, by what they do.",
    bar(all, t.makespan_s), el("div", {style: "height:8px"}),
    table(["", ">share", ">of the step"], lines),
    el("dl", {},
      share !== null ? [el("dt", {}, "collectives"), el("dd", {}, `${percent(share)} of computing time, inside stages`)] : null,
      el("dt", {}, "limited by"), el("dd", {}, `stage ${worst[1]}: ${seconds(worst[0])} for each of ${plural(plan.microbatches, "microbatch", "es")}`),
      busiest ? [el("dt", {}, "busiest link"), el("dd", {}, `${link[busiest.link]} ${busiest.host}: ${percent(busiest.busy_s / t.makespan_s)} of the step, ${bytes(Math.round(busiest.bytes))}`)] : null),
    t.meshes.length > 1 ? el("details", {open: t.meshes.length <= 8 ? "" : null}, el("summary", {}, "by mesh"),
      table(["", "", ">computing"], t.meshes.map((use, m) => row([`mesh ${m}, ${stagesOfMesh(plan, m)}`, bar(parts(spent[m], use.waiting_s, use.bubble_s), t.makespan_s), ">" + percent(use.busy_s / t.makespan_s)])))) : null);
}

function meshTimePanel(plan) {
  const p = plan.layout;
  if (!p) return panel("Where the time goes", null, el("p", {class: "note"}, "Nothing was predicted for this plan: it was not made by alpa plan."));
  const phases = {forward: [0, 0], backward: [0, 0], update: [0, 0]};
  for (const o of plan.notes ? plan.notes.ops : []) { const f = phases[o[2]] || (phases[o[2]] = [0, 0]); f[0] += o[4]; f[1] += o[5]; }
  const whole = p.compute_s + p.communication_s, kinds = {forward: ["k-f", "F"], backward: ["k-b", "B"], update: ["k-u", "U"]};
  const parts = [];
  for (const [name, [c, m]] of Object.entries(phases)) {
    const [kind, letter] = kinds[name] || ["k-f", ""];
    if (c > 0) parts.push([c, kind, letter, `${name}, computing`]);
    if (m > 0) parts.push([m, "k-c", "C", `${name}, collectives`]);
  }
  if (!parts.length) parts.push([p.compute_s, "k-f", "", "computing"], [p.communication_s, "k-c", "C", "collectives"]);
  const rest = whole - sum(parts.map(x => x[0]));
  if (rest > whole * 1e-3) parts.push([rest, "k-c", "C", "bringing results where they belong"]);
  const bar = stackedBar(parts.map(x => [x[0], x[1], x[2], `${x[3]}: ${percent(x[0] / whole)}, ${seconds(x[0])}`]), whole);
  return panel("Where the time goes", "Every device's time in a step.", bar, el("div", {style: "height:8px"}),
    table(["", ">share", ">of the step"], parts.map(x => row([el("span", {}, el("i", {class: "swatch " + x[1]}, x[2]), " " + x[3]), ">" + percent(x[0] / whole), ">" + seconds(x[0])]))));
}

function collectivesPanel(plan) {
  const p = plan.layout;
  if (!p) return null;
  return panel("Collectives", p.collectives.length ? "Per step; bytes that each device contributes." : "None.",
    p.collectives.length ? table(["", "axes", ">count", ">bytes"], p.collectives.map(c => row([c.kind, el("code", {}, c.axes), ">" + c.count, ">" + bytes(c.bytes)]))) : null);
}

function placesPanel(plan) {
  if (!plan.notes || !plan.notes.ops.length) return null;
  const places = new Map();
  for (const o of plan.notes.ops) {
    const key = o[2] + "\n" + o[1], p = places.get(key) || {where: o[1] || o[0], phase: o[2], count: 0, c: 0, m: 0};
    p.count += o[3]; p.c += o[4]; p.m += o[5];
    places.set(key, p);
  }
  const list = [...places.values()].sort((a, b) => b.c + b.m - a.c - a.m).slice(0, 12), most = list[0].c + list[0].m;
  const kinds = {forward: "k-f", backward: "k-b", update: "k-u"};
  return panel("Most expensive places", "Where in the source the time of a step goes.",
    table(["place", "phase", ">ops", ">computing", ">collectives", ""], list.map(p => row([el("code", {}, p.where), p.phase, ">" + p.count, ">" + seconds(p.c), ">" + seconds(p.m),
      stackedBar([[p.c, kinds[p.phase] || "k-f", "", `computing ${seconds(p.c)}`], [p.m, "k-c", "C", `collectives ${seconds(p.m)}`]], most)]))));
}

// The first few pictures of the sharding tab.
function largestPanel(plan) {
  const tensors = tensorsOf(plan, 0).slice(0, 4);
  if (!tensors.length) return null;
  return panel("The largest arrays", "Cut as the devices hold them; the strong part is that of device 0.",
    el("div", {class: "tensors few"}, tensors.map(t => tensorCard(t, plan.mesh, 0, () => alpaReport.open("sharding")))));
}

function smallTimeline(plan) {
  const meshes = plan.kind === "pipeline" ? plan.devices_used && plan.stages.length : 2;
  const rows = runRows(plan, plan.kind === "mesh" ? 26 : Math.max(7, Math.min(22, 220 / meshes)));
  if (!rows.length) return panel("Timeline", null, el("p", {class: "note"}, missingTimeline(plan)));
  const view = new TimeView(rows, {name: "timeline of the step", span: spanOf(plan), still: true, most: 460, axis: "one step", onpick: () => alpaReport.open("timeline")});
  return panel("Timeline of a step", null, view.node, el("div", {class: "tools", style: "margin:8px 0 0"}, timelineLegend(plan, true), el("span", {class: "grow"}),
    el("button", {type: "button", onclick: () => alpaReport.open("timeline")}, "zoom in")));
}

function overviewTab(plan) {
  if (plan.kind === "pipeline") return [stagesPanel(plan), smallTimeline(plan), el("div", {class: "two"}, timePanel(plan), el("div", {}, gapPanel(plan), waysPanel(plan)))];
  return [el("div", {class: "two"}, el("div", {}, meshTimePanel(plan), plan.notes && plan.notes.ways.length ? waysPanel(plan) : null), el("div", {}, gapPanel(plan), collectivesPanel(plan))), largestPanel(plan), smallTimeline(plan), placesPanel(plan)];
}
