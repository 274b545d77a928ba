// The frame: title, numbers that matter, tabs.
const alpaReport = {errors: [], data: DATA, open: null, timeline: null, memory: null};
window.alpaReport = alpaReport;
addEventListener("error", e => alpaReport.errors.push(String(e.message)));

let plan = DATA.plans[0];

const TABS = [
  ["overview", "Overview", () => overviewTab(plan)],
  ["timeline", "Timeline", () => timelineTab(plan)],
  ["memory", "Memory", () => memoryTab(plan)],
  ["devices", "Devices", () => devicesTab(plan)],
  ["sharding", "Sharding", () => shardingTab(plan)],
  ["alternatives", "Alternatives", () => alternativesTab(plan)],
];
if (DATA.family) TABS.push(["family", "Shapes", () => familyTab(DATA.family, i => choosePlan(i))]);

function numbers() {
  const out = [], add = (value, name, help) => out.push(el("div", {class: "number", tip: help}, el("b", {}, value), el("span", {}, name)));
  const step = plan.kind === "pipeline" && plan.timeline ? plan.timeline.makespan_s : plan.step_s;
  if (step) add(seconds(step), "step time, " + (plan.kind === "pipeline" ? "simulated" : "predicted"), "Seconds of one training step.");
  if (plan.measured) add(seconds(plan.measured.makespan_s), "step time, measured", "In the last step of the run that the trace is of.");
  if (step && plan.notes && plan.notes.batch) add(digits(plan.notes.batch / step), "examples a second", `${plural(plan.notes.batch, "example")} in a step.`);
  if (step && plan.flops) {
    const peak = plan.notes && plan.notes.peak_flops;
    add(metric(plan.flops / step, "FLOPS"), peak ? percent(plan.flops / step / peak) + " of the peak" : "arithmetic of the model", "Arithmetic of the model, without what is computed again, per second.");
  }
  if (plan.timeline) {
    const size = m => { const s = plan.stages.find(x => x.on === m); return s.place[1] * s.place[3]; };
    const t = plan.timeline, devices = sum(t.meshes.map((_, m) => size(m)));
    add(percent(sum(t.meshes.map((u, m) => u.busy_s * size(m))) / devices / t.makespan_s), "of the devices' time is computing", "The rest is waiting for transfers, and bubble: nothing to do yet, or no more.");
  } else if (plan.layout && step) {
    add(percent(plan.layout.communication_s / step), "of the step is communication", "Collectives between the devices of the mesh.");
  }
  const uses = plan.timeline ? plan.timeline.meshes.map((use, m) => [use.peak, plan.limits[plan.stages.find(s => s.on === m).type], stagesOfMesh(plan, m)])
    : plan.kind === "pipeline" ? plan.stages.map((s, i) => [s.peak, plan.limits[s.type], "stage " + i]) : plan.layout ? [[plan.layout.memory, Object.values(plan.limits)[0], "every device"]] : [];
  const fullest = uses.sort((a, b) => (b[1] ? b[0] / b[1] : 0) - (a[1] ? a[0] / a[1] : 0) || b[0] - a[0])[0];
  if (fullest) add(fullest[1] ? percent(fullest[0] / fullest[1]) : bytes(fullest[0]), `of memory at most, ${fullest[2]}`, `${bytes(fullest[0])} per device` + (fullest[1] ? ` of ${bytes(fullest[1])}` : "; no limit known"));
  const gap = plan.kind === "pipeline" ? plan.notes && plan.notes.gap : plan.layout && plan.layout.cost_s > 0 ? (plan.layout.cost_s - plan.layout.bound_s) / plan.layout.cost_s : null;
  if (gap !== null && gap !== undefined) add(percent(Math.max(0, gap), 2), "gap to the bound", "No plan of the search space is better than this by more than this share, by the measure that the search goes by.");
  return el("div", {class: "cards"}, out);
}

function subtitle() {
  const parts = [];
  if (plan.kind === "pipeline") {
    parts.push(plural(plan.stages.length, "stage"), plan.schedule, plural(plan.microbatches, "microbatch", "es") + (plan.notes && plan.notes.batch ? ` of ${plural(plan.notes.batch / plan.microbatches, "example")}` : ""));
    const all = plan.hosts ? sum(plan.hosts.map(h => h.devices)) : 0;
    parts.push(all ? `${plan.devices_used} of ${plural(all, "device")}` : plural(plan.devices_used, "device"));
  } else {
    parts.push(`one ${meshText(plan.mesh)} devices`, plan.method === "intra" ? "best layout found" : "method " + plan.method);
  }
  return parts.join(" · ");
}

function head() {
  const select = DATA.plans.length > 1 ? el("label", {class: "muted"}, " shape ", el("select", {"data-role": "plan", onchange: e => choosePlan(+e.target.value)},
    DATA.plans.map((p, i) => el("option", {value: i, selected: p === plan ? "" : null}, p.name)))) : null;
  document.getElementById("head").replaceChildren(el("h1", {}, plan.model, plan.cluster ? ` on ${plan.cluster}` : ""), el("p", {class: "sub"}, subtitle(), " · ", el("code", {}, DATA.title), select), numbers());
}

function open(name) {
  const tab = TABS.find(t => t[0] === name) || TABS[0];
  hideTip();
  for (const button of document.querySelectorAll("nav button")) {
    const on = button.dataset.tab === tab[0];
    button.setAttribute("aria-selected", String(on));
    button.tabIndex = on ? 0 : -1;
  }
  const main = document.getElementById("main");
  main.dataset.tab = tab[0];
  main.replaceChildren(...tab[2]().flat(3).filter(n => n));
  history.replaceState(null, "", "#" + tab[0]);
}
alpaReport.open = open;

function choosePlan(i) {
  plan = DATA.plans[i];
  head();
  open(document.getElementById("main").dataset.tab === "family" ? "overview" : document.getElementById("main").dataset.tab);
}

const nav = document.getElementById("tabs");
nav.append(...TABS.map(([name, title]) => el("button", {type: "button", role: "tab", "data-tab": name, "aria-controls": "main", onclick: () => open(name)}, title)));
nav.addEventListener("keydown", e => {
  const at = TABS.findIndex(t => t[0] === document.getElementById("main").dataset.tab), by = {ArrowRight: 1, ArrowLeft: -1}[e.key];
  if (!by) return;
  const to = TABS[(at + by + TABS.length) % TABS.length][0];
  open(to);
  nav.querySelector(`[data-tab="${to}"]`).focus();
});
document.getElementById("main").setAttribute("role", "tabpanel");
addEventListener("hashchange", () => open(location.hash.slice(1)));
head();
open(location.hash.slice(1) || (DATA.family ? "family" : "overview"));
document.body.dataset.ready = "yes";
