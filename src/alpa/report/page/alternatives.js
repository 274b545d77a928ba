// How good the plan is: what else was looked at, and the bound below which nothing lies.
function gapPanel(plan) {
  const mesh = plan.kind === "mesh", p = mesh ? plan.layout : plan;
  const value = mesh ? p && p.cost_s : plan.closed_form_s, bound = mesh ? p && p.bound_s : plan.bound_s;
  if (!value || !bound) return panel("How good it is", null, el("p", {class: "note"}, "There is no bound in the plan file."));
  const gap = plan.notes && !mesh ? plan.notes.gap : Math.max(0, (value - bound) / value);
  const inter = !mesh && plan.notes && plan.notes.interleaved_bound_s > 0 && plan.notes.interleaved_bound_s < bound ? plan.notes.interleaved_bound_s : 0;
  const marks = [["bound", bound, "no plan of the search space is below"], [mesh ? "this plan" : "this plan, by closed form", value, ""]];
  if (inter) marks.unshift(["bound with interleaved plans", inter, "whose search gives up early"]);
  if (!mesh && plan.timeline) marks.push(["this plan, simulated", plan.timeline.makespan_s, "what counts in the end"]);
  const text = mesh ? `No layout that the planner can choose costs less than ${seconds(bound)}; this one costs ${seconds(value)}.`
    : `By the closed form that the search compares plans with, no plan of the search space is below ${seconds(bound)}, and this one is at ${seconds(value)}. The best few were simulated, which says more than the closed form.`;
  return panel("How good it is", text,
    el("p", {style: "font-size:18px;margin:0 0 6px;color:var(--text)"}, el("b", {}, `gap at most ${percent(gap, 2)}`), plan.notes && plan.notes.complete === false ? el("span", {class: "muted"}, " (the search was stopped early)") : ""),
    numberLine(marks), plan.notes ? null : el("p", {class: "muted"}, "Other plans that were looked at are not in the file."));
}

// Marks on a line of seconds, each with its label on a row of its own so that none covers another.
function numberLine(marks) {
  const width = 460, left = 8, right = 8;
  const low = Math.min(...marks.map(m => m[1])), high = Math.max(...marks.map(m => m[1])), pad = Math.max((high - low) * 0.12, high * 0.002);
  const x = v => left + (v - low + pad) / (high - low + 2 * pad) * (width - left - right);
  const sorted = marks.slice().sort((a, b) => a[1] - b[1]), height = 26 + 20 * marks.length;
  const svg = el("svg", {width: "100%", viewBox: `0 0 ${width} ${height}`, style: "max-width:560px", role: "img", "aria-label": sorted.map(m => `${m[0]} ${seconds(m[1])}`).join(", ")});
  svg.append(el("line", {x1: left, x2: width - right, y1: height - 12, y2: height - 12, stroke: "var(--line)", "stroke-width": 2}));
  sorted.forEach(([name, value, more], i) => {
    const y = 14 + 20 * i, at = x(value), end = at > width / 2;
    const bound = name.startsWith("bound");
    svg.append(el("line", {x1: at, x2: at, y1: y - 4, y2: height - 12, stroke: bound ? "var(--limit)" : "var(--accent)", "stroke-width": 1.5, "stroke-dasharray": bound ? "4 3" : null}));
    svg.append(bound ? el("rect", {x: at - 4, y: height - 16, width: 8, height: 8, fill: "var(--limit)"}) : el("path", {d: `M${at} ${height - 18}l6 6-6 6-6-6z`, fill: "var(--accent)"}));
    svg.append(el("text", {class: "svg-label halo", x: at + (end ? -6 : 6), y: y, "text-anchor": end ? "end" : "start"}, `${name}: ${seconds(value)}`, more ? el("title", {}, more) : null));
  });
  return svg;
}

// The other plans that were simulated.
function waysPanel(plan) {
  const ways = plan.notes ? plan.notes.ways : [];
  const step = plan.timeline ? plan.timeline.makespan_s : plan.step_s;
  const mesh = plan.kind === "mesh";
  const all = [{name: mesh ? "this plan" : plan.schedule, microbatches: plan.microbatches, stages: mesh ? plan.mesh.shape.join("x") : stagesInShort(plan), step_s: plan.step_s || step, chosen: true}, ...ways];
  const most = Math.max(...all.map(w => w.step_s));
  return panel(mesh ? "By hand" : "Alternatives considered", mesh ? "The same step by methods that people choose by hand, each with its best layout." : ways.length ? "The best plans that the search found, simulated. Some were not solved exactly; their times are at prices." : plan.notes ? "No other plan was found." : "The plan file does not say what else was looked at.",
      table([mesh ? "method" : "schedule", ">microbatches", mesh ? "mesh" : "stages", ">step", ">difference", ""], all.map(w => row([(w.chosen ? "▶ " : "") + w.name, ">" + w.microbatches, w.stages, ">" + seconds(w.step_s),
        ">" + (w.chosen ? "chosen" : signed(percent(Math.abs(w.step_s / plan.step_s - 1), 1), w.step_s - plan.step_s)), stackedBar([[w.step_s, w.chosen ? "k-f" : "k-c", "", seconds(w.step_s)]], most)], {class: w.chosen ? "chosen" : null}))));
}

function alternativesTab(plan) {
  const out = [gapPanel(plan)];
  if (plan.kind === "pipeline") {
    out.push(waysPanel(plan));
  } else {
    if (plan.notes && plan.notes.ways.length) out.push(waysPanel(plan));
    const tensors = (plan.notes ? plan.notes.tensors : []).filter(t => t.others.length);
    out.push(panel("Alternatives considered", (tensors.length ? "Other layouts of the largest arrays and of results of the dearest ops, with all else as it is." : "The plan file does not say what else was looked at.") +
      (plan.notes && plan.notes.ways.length ? "" : " With alpa plan --methods it also holds what methods chosen by hand would cost."),
      tensors.length ? table(["array", "shape", "chosen", "instead", ">time", ">memory"], tensors.flatMap(t => t.others.map((o, i) => row([i ? "" : el("code", {}, t.name), i ? "" : el("code", {}, `${t.dtype}[${t.shape.join(",")}]`), i ? "" : el("code", {}, t.spec), el("code", {}, o.spec || "[]"),
        ">" + signed(seconds(Math.abs(o.seconds)), o.seconds), ">" + (o.bytes ? signed(bytes(Math.abs(o.bytes)), o.bytes) : "same")])))) : null));
  }
  if (plan.notes && plan.notes.times.length) {
    const all = sum(plan.notes.times.map(t => t[1]));
    out.push(panel(`Planned in ${seconds(all)}`, null, table(["phase", ">time", ""], plan.notes.times.map(t => row([t[0], ">" + seconds(t[1]), stackedBar([[t[1], "k-c", "", seconds(t[1])]], all)])))));
  }
  return [el("div", {}, out)];
}

// "4 x 1x8", "1x4, 2 x 1x2".
function stagesInShort(plan) {
  const out = [];
  for (let i = 0; i < plan.stages.length; ) {
    const shape = s => `${s.place[1]}x${s.place[3]}`;
    let j = i;
    while (j < plan.stages.length && shape(plan.stages[j]) === shape(plan.stages[i]) && plan.stages[j].type === plan.stages[i].type) ++j;
    out.push(j - i > 1 ? `${j - i} x ${shape(plan.stages[i])}` : shape(plan.stages[i]));
    i = j;
  }
  return out.join(", ");
}

function familyTab(family, choose) {
  const most = Math.max(...family.members.map(m => m.step_s));
  const name = m => m.file.replace(/.*\//, "");
  const out = [panel("One model at several shapes", `Expected step ${seconds(family.expected_s)}. ${family.same_state ? "The state lies alike for all shapes: going from one to another moves nothing." : "The state lies differently; going from shape to shape moves it."}`,
    table(["shape", ">frequency", ">step", ""], family.members.map((m, i) => row([el("button", {type: "button", class: "chip", onclick: () => choose(i)}, name(m)), ">" + m.frequency, ">" + seconds(m.step_s), stackedBar([[m.step_s, "k-f", "", seconds(m.step_s)]], most)]))))];
  if (family.ways && family.ways.length) {
    const all = [["this plan", family.expected_s], ...family.ways], longest = Math.max(...all.map(w => w[1]));
    out.push(panel("Alternatives considered", "Expected seconds of a step, with switching.", table(["", ">step", ">difference", ""], all.map((w, i) => row([(i ? "" : "▶ ") + w[0], ">" + seconds(w[1]),
      ">" + (i ? signed(percent(Math.abs(w[1] / family.expected_s - 1), 1), w[1] - family.expected_s) : "chosen"), stackedBar([[w[1], i ? "k-c" : "k-f", "", seconds(w[1])]], longest)], {class: i ? null : "chosen"})))));
  }
  if (!family.same_state && family.switching_s)
    out.push(panel("Switching", "From the shape of the row to that of the column.", table(["", ...family.members.map(m => ">" + name(m))],
      family.switching_s.map((line, i) => row([name(family.members[i]), ...line.map(s => ">" + seconds(s))])))));
  return out;
}
