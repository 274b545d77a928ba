// From the data of a plan to rows of a TimeView: what meshes compute, what passes between them, memory.

// Bars of one mesh from the flat list of the simulator (see page_timeline.h).
function barsOfMesh(plan, mesh) {
  const flat = plan.timeline.meshes[mesh].runs, tick = plan.timeline.tick, n = flat.length / 4;
  const several = plan.stages.filter(s => s.on === mesh).length > 1;
  const bars = emptyBars(n);
  bars.stage = new Int32Array(n);
  let time = 0;
  for (let i = 0; i < n; ++i) {
    bars.kind[i] = flat[4 * i] & 3;
    bars.stage[i] = flat[4 * i] >> 2;
    bars.part[i] = bars.kind[i] === 3 ? -1 : flat[4 * i + 1];
    bars.start[i] = (time += flat[4 * i + 2]) * tick;
    bars.end[i] = (time += flat[4 * i + 3]) * tick;
  }
  bars.text = i => KINDS[bars.kind[i]].letter + (bars.kind[i] === 3 ? "" : bars.part[i] + (several ? "·" + bars.stage[i] : ""));
  bars.tip = i => `${KINDS[bars.kind[i]].name}${bars.part[i] >= 0 ? " of microbatch " + bars.part[i] : ""}\nstage ${bars.stage[i]} on mesh ${mesh}\n` +
    `${seconds(bars.start[i])} to ${seconds(bars.end[i])}: ${seconds(bars.end[i] - bars.start[i])}`;
  return bars;
}

function emptyBars(n) {
  return {n, kind: new Uint8Array(n), part: new Int32Array(n).fill(-1), start: new Float64Array(n), end: new Float64Array(n)};
}

function arrowsOf(plan) {
  const t = plan.timeline, flat = t.transfers, n = flat.length / 4;
  const a = {n, kind: new Uint8Array(n), part: new Int32Array(n), start: new Float64Array(n), end: new Float64Array(n),
             from: new Int32Array(n), to: new Int32Array(n), longest: 0};
  let time = 0;
  for (let i = 0; i < n; ++i) {
    const kind = flat[4 * i] % 3, edge = Math.floor(flat[4 * i] / 3);
    const [from, to] = kind === 2 ? plan.step_edges[edge] : plan.edges[edge];
    a.kind[i] = kind;
    a.part[i] = kind === 2 ? -1 : flat[4 * i + 1];
    a.from[i] = plan.stages[kind === 1 ? to : from].on;
    a.to[i] = plan.stages[kind === 1 ? from : to].on;
    time += flat[4 * i + 2];
    a.start[i] = time * t.tick;
    a.end[i] = (time + flat[4 * i + 3]) * t.tick;
    a.longest = Math.max(a.longest, a.end[i] - a.start[i]);
  }
  return a;
}

function stagesOfMesh(plan, mesh) {
  const stages = plan.stages.map((s, i) => s.on === mesh ? i : -1).filter(i => i >= 0);
  return (stages.length === 1 ? "stage " : "stages ") + ranges(stages);
}

function measuredBars(track, tick) {
  const flat = track.slices, n = flat.length / 4, bars = emptyBars(n);
  let time = 0;
  for (let i = 0; i < n; ++i) {
    bars.kind[i] = flat[4 * i] % 5;
    bars.part[i] = bars.kind[i] < 3 ? flat[4 * i + 1] : -1;
    time += flat[4 * i + 2];
    bars.start[i] = time * tick;
    bars.end[i] = (time + flat[4 * i + 3]) * tick;
  }
  const name = i => track.names[i] || `${KINDS[bars.kind[i]].name}${bars.part[i] >= 0 ? " of microbatch " + bars.part[i] : ""}`;
  bars.text = i => track.names[i] ? track.names[i] : KINDS[bars.kind[i]].letter + (bars.part[i] >= 0 ? bars.part[i] : "");
  bars.low = 4;
  bars.tip = i => `${name(i)}, measured\n${seconds(bars.start[i])} to ${seconds(bars.end[i])}: ${seconds(bars.end[i] - bars.start[i])}`;
  return bars;
}

// Rows of what each mesh does; `height` of a row.
function runRows(plan, height) {
  if (plan.kind === "mesh") return opRows(plan, height);
  if (!plan.timeline) return [];
  return plan.timeline.meshes.map((use, m) => ({
    label: "mesh " + m, sub: stagesOfMesh(plan, m), height, gap: height > 20 ? 4 : 1, bars: barsOfMesh(plan, m),
    tip: `mesh ${m}: ${stagesOfMesh(plan, m)}\ncomputing ${percent(use.busy_s / plan.timeline.makespan_s)}, waiting for transfers ${percent(use.waiting_s / plan.timeline.makespan_s)}, bubble ${percent(use.bubble_s / plan.timeline.makespan_s)}`,
  }));
}

// A plan of one mesh: its ops one after the other, each with its communication in front.
function opRows(plan, height) {
  const ops = plan.notes ? plan.notes.ops : [];
  if (!ops.length) return [];
  const n = ops.length, compute = emptyBars(n), talk = emptyBars(n);
  const phase = {forward: 0, backward: 1, update: 3};
  let time = 0;
  ops.forEach(([name, where, ph, count, c, m], i) => {
    talk.kind[i] = 4;
    talk.start[i] = time;
    talk.end[i] = time += m;
    compute.kind[i] = phase[ph] === undefined ? 0 : phase[ph];
    compute.start[i] = time;
    compute.end[i] = time += c;
  });
  const tipOf = i => `${ops[i][0]}${ops[i][3] > 1 ? ` and ${ops[i][3] - 1} more` : ""}\n${ops[i][1]}\n${ops[i][2]}: computes ${seconds(ops[i][4])}, communicates ${seconds(ops[i][5])}\nholds ${bytes(ops[i][6])} per device`;
  for (const b of [compute, talk]) { b.tip = tipOf; b.smooth = 1; b.text = i => b === talk ? "C" : ops[i][0]; }
  return [{label: "computing", sub: "every device", height, gap: 3, bars: compute},
          {label: "communicating", sub: "collectives", height, bars: talk}];
}
function spanOf(plan) {
  if (plan.kind === "pipeline") return plan.timeline ? plan.timeline.makespan_s : 0;
  return plan.notes ? sum(plan.notes.ops.map(o => o[4] + o[5])) : 0;
}

// Memory per device of each mesh over time. `scale`: "limit" or "peak".
function memoryRows(plan, scale, height) {
  const limitOf = type => plan.limits[type];
  if (plan.kind === "mesh") {
    const ops = plan.notes ? plan.notes.ops : [];
    if (!ops.length) return [];
    const curve = {n: ops.length, time: new Float64Array(ops.length), value: new Float64Array(ops.length)};
    let time = 0, peak = 0;
    ops.forEach((o, i) => { curve.time[i] = time; curve.value[i] = o[6]; time += o[4] + o[5]; peak = Math.max(peak, o[6]); });
    const limit = Object.values(plan.limits)[0];
    curve.tip = i => `${bytes(ops[i][6])} per device\nat ${seconds(curve.time[i])}: ${ops[i][0]} (${ops[i][2]})\n${ops[i][1]}`;
    return [memoryRow("each device", curve, plan.layout ? plan.layout.memory : peak, limit, scale, Math.max(height, 160))];
  }
  if (!plan.timeline) return [];
  return plan.timeline.meshes.map((use, m) => {
    const n = use.memory.length / 2, curve = {n, time: new Float64Array(n), value: new Float64Array(n)};
    let time = 0;
    for (let i = 0; i < n; ++i) {
      curve.time[i] = (time += use.memory[2 * i]) * plan.timeline.tick;
      curve.value[i] = use.memory[2 * i + 1];
    }
    const stage = plan.stages.find(s => s.on === m);
    curve.tip = (i, at) => `mesh ${m} at ${seconds(at)}\n${bytes(curve.value[i])} per device`;
    return memoryRow(`mesh ${m}`, curve, use.peak, limitOf(stage.type), scale, height, stagesOfMesh(plan, m));
  });
}
function memoryRow(label, curve, peak, limit, scale, height, stages) {
  curve.top = 1.08 * Math.max(peak, scale === "limit" && limit ? limit : 0, 1);
  curve.limit = limit;
  const share = limit ? `${percent(peak / limit)} of ${bytes(limit)}` : "no limit known";
  return {label: label + (stages ? ": " + stages : ""), sub: `peak ${bytes(peak)}\n${share}`, height, gap: 8, curve, tip: `${label}: peak ${bytes(peak)} per device, ${share}`};
}

const KIND_LEGEND = [["k-f", "F", "forward"], ["k-b", "B", "backward"], ["k-w", "W", "weight gradients"], ["k-u", "U", "update"]];
function timelineLegend(plan, still) {
  if (plan.kind === "mesh") return legend([["k-f", "F", "forward"], ["k-b", "B", "backward"], ["k-u", "U", "update"], ["k-c", "C", "collectives"]]);
  const split = plan.schedule === "zb-h1";
  const entries = KIND_LEGEND.filter(k => split || k[1] !== "W");
  if (!still) entries.push(["s-act", "", "activations"], ["s-cot", "", "cotangents (dashed)"]);
  if (plan.measured && !still) entries.push(["k-c", "C", "sends, receives, waits (measured)"]);
  return legend(entries);
}

function missingTimeline(plan) {
  if (plan.not_simulated) return `Not simulated: ${plan.not_simulated}. alpa report PLAN --cluster CLUSTER shows it.`;
  if (plan.kind === "mesh" && !plan.notes) return "The plan file does not say what runs when: it was not written by alpa plan, or by an older one. Plan again to see it.";
  return "The plan file does not say what cluster it is for.";
}

function timelineTab(plan) {
  const rows = runRows(plan, plan.kind === "mesh" ? 46 : Math.max(22, Math.min(40, 560 / Math.max(1, plan.devices_used))));
  const arrows = plan.timeline ? arrowsOf(plan) : null;
  let span = spanOf(plan);
  const simulated = rows.length;
  if (plan.measured) {
    for (const track of plan.measured.tracks)
      rows.push({label: "measured " + track.name.replace(/:.*/, ""), sub: track.name.replace(/^[^:]*: /, ""), height: rows.length ? rows[0].height : 40, gap: 4,
                 bars: measuredBars(track, plan.measured.tick)});
    if (simulated) rows[simulated - 1].gap = 16;
    span = Math.max(span, plan.measured.makespan_s);
  }
  if (!rows.length) return [panel("Timeline", null, el("p", {class: "note"}, missingTimeline(plan)))];
  const help = () => el("span", {class: "muted"}, plan.kind === "mesh" ? "Click a bar to see which ops it is; Esc lets go." : "Click a bar to follow its microbatch through the stages; Esc lets go.");
  const detail = el("div", {class: "detail", "aria-live": "polite"}, help());
  const view = new TimeView(rows, {
    name: "timeline", span, arrows, most: 620, axis: "one step",
    onpick: (row, bar) => {
      detail.replaceChildren(row === null ? help() : describePick(plan, rows, row, bar));
    },
  });
  alpaReport.timeline = view;
  const note = plan.timeline && plan.timeline.left_out
    ? el("p", {class: "note"}, `Too many microbatches for one page: ${plan.timeline.left_out[0]} to ${plan.timeline.left_out[1] - 1} are left out of the picture (not of the numbers).`) : null;
  const hint = el("p", {}, "Wheel, ", el("kbd", {}, "+"), " ", el("kbd", {}, "−"), " zoom; drag, ", el("kbd", {}, "←"), " ", el("kbd", {}, "→"), ", shift-wheel move; ", el("kbd", {}, "0"), " shows all.");
  const text = plan.kind === "mesh" ? "What every device does in a step, as predicted: one op after the other."
    : "What each mesh does in a step, " + (plan.measured ? "as simulated and, below, as measured in the last step of a run." : "as simulated with the instruction lists that the runtime executes.");
  const out = [panel("Timeline", text, note, el("div", {class: "tools"}, view.buttons(), el("span", {class: "grow"}), timelineLegend(plan)), view.node, detail, hint)];
  if (plan.measured) out.push(measuredPanel(plan));
  return out;
}

function describePick(plan, rows, row, bar) {
  const b = row.bars;
  const text = b.tip(bar).split("\n").join(" · ");
  if (b.part[bar] < 0) return el("span", {}, text);
  let first = Infinity, last = 0, busy = 0;
  for (const r of rows) {
    if (r.label.startsWith("measured") !== row.label.startsWith("measured")) continue;
    for (let i = 0; i < r.bars.n; ++i) {
      if (r.bars.part[i] !== b.part[bar]) continue;
      first = Math.min(first, r.bars.start[i]);
      last = Math.max(last, r.bars.end[i]);
      busy += r.bars.end[i] - r.bars.start[i];
    }
  }
  return el("span", {"data-role": "picked"}, el("b", {}, text), ` — microbatch ${b.part[bar]} is under way from ${seconds(first)} to ${seconds(last)} (${seconds(last - first)}), computed on for ${seconds(busy)}.`);
}

function measuredPanel(plan) {
  const m = plan.measured, out = [];
  out.push(row(["whole step", ">" + (spanOf(plan) ? seconds(spanOf(plan)) : "?"), ">" + seconds(m.makespan_s), ">" + (spanOf(plan) ? signed(percent(Math.abs(m.makespan_s / spanOf(plan) - 1)), m.makespan_s - spanOf(plan)) : "")]));
  m.tracks.forEach((track, i) => {
    const use = plan.timeline && plan.timeline.meshes[i];
    out.push(row([track.name + ", computing", ">" + (use ? seconds(use.busy_s) : "?"), ">" + seconds(track.busy_s),
      ">" + (use && use.busy_s > 0 ? signed(percent(Math.abs(track.busy_s / use.busy_s - 1)), track.busy_s - use.busy_s) : "")]));
  });
  return panel("Measured against predicted", null, table(["", ">predicted", ">measured", ">difference"], out));
}

function memoryTab(plan) {
  let scale = null;
  const host = el("div", {});
  const limits = Object.values(plan.limits), span = spanOf(plan);
  const peaks = plan.kind === "mesh" ? [plan.layout ? plan.layout.memory : 0] : plan.stages.map(s => s.peak);
  const roomy = limits.length && Math.max(...peaks) < 0.25 * Math.min(...limits);
  const show = to => {
    scale = to;
    const rows = memoryRows(plan, scale, plan.kind === "pipeline" && plan.timeline && plan.timeline.meshes.length > 12 ? 56 : 84);
    if (!rows.length) return host.replaceChildren(el("p", {class: "note"}, missingTimeline(plan)));
    const view = new TimeView(rows, {name: "memory over time", span, most: 700, axis: "per device"});
    alpaReport.memory = view;
    const chip = (name, text) => el("button", {type: "button", class: "chip", "aria-pressed": String(scale === name), onclick: () => show(name)}, text);
    host.replaceChildren(el("div", {class: "tools"}, view.buttons(), el("span", {class: "grow"}),
      limits.length ? [chip("limit", "up to the limit"), chip("peak", "up to the peak")] : el("span", {class: "muted"}, "no limit known")), view.node);
    view.draw();
  };
  show(roomy ? "peak" : "limit");
  const text = "Memory of each device while a step runs: parameters, optimizer state and gradients are always there; activations come and go. The dashed line is the limit.";
  return [panel("Memory over time", text, host), plan.kind === "pipeline" ? memoryTable(plan) : null];
}

function memoryTable(plan) {
  return panel("What it is made of", "Per device, when it is fullest.",
    legend([["k-state", "S", "parameters, optimizer state, gradients"], ["k-act", "A", "activations of microbatches in flight"], ["k-work", "W", "workspace"], ["k-idle", "", "free"]]),
    table(["Stage", ">state", ">activations, each", ">in flight", ">workspace", ">peak", ">limit", ""],
      plan.stages.map((s, i) => row([String(i), ">" + bytes(s.state), ">" + bytes(s.activation), ">" + s.in_flight, ">" + bytes(s.workspace), ">" + bytes(s.peak),
        ">" + (plan.limits[s.type] ? percent(s.peak / plan.limits[s.type]) : "?"), memoryBar(plan, s)]))));
}

// Up to the limit, or, where all devices are nearly empty, up to the highest peak.
function memoryBar(plan, s) {
  const most = Math.max(...plan.stages.map(x => x.peak), 1), known = plan.limits[s.type];
  const limit = known && most > 0.1 * known ? known : undefined;
  return stackedBar([[s.state, "k-state", "S", `state: ${bytes(s.state)}`], [s.activation * s.in_flight, "k-act", "A", `activations: ${s.in_flight} × ${bytes(s.activation)}`],
    [s.workspace, "k-work", "W", `workspace: ${bytes(s.workspace)}`]], Math.max(limit || 0, most, s.state + s.activation * s.in_flight + s.workspace), limit);
}
