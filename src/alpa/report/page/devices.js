// Devices with what each holds.
function coordinates(mesh, device) {
  const out = [];
  for (let a = mesh.shape.length - 1; a >= 0; --a) { out[a] = device % mesh.shape[a]; device = Math.floor(device / mesh.shape[a]); }
  return out;
}

// The part of a tensor that a device holds, as [number of part, parts] per dimension.
function pieceOf(tensor, mesh, device) {
  const at = coordinates(mesh, device);
  return tensor.split.map(axes => {
    let part = 0, parts = 1;
    for (const a of axes) { part = part * mesh.shape[a] + at[a]; parts *= mesh.shape[a]; }
    return [part, parts];
  });
}
function pieceText(tensor, piece) {
  if (!tensor.shape.length) return "scalar";
  return "[" + piece.map(([part, parts], d) => {
    const size = Math.ceil(tensor.shape[d] / parts);
    return parts === 1 ? "all " + tensor.shape[d] : `${part * size}–${Math.min(tensor.shape[d], (part + 1) * size) - 1}`;
  }).join(", ") + "]";
}
// All devices of the cluster (as far as known) by host: [{name, type, devices: [{stages: [...], mesh, local}]}].
function devicesOf(plan) {
  if (plan.kind === "mesh") {
    const n = plan.devices_used, per = plan.hosts && plan.hosts.length && sum(plan.hosts.map(h => h.devices)) >= n ? plan.hosts : [{name: "", type: "", devices: n}];
    const out = [];
    let d = 0;
    for (const host of per) {
      const devices = [];
      for (let i = 0; i < host.devices; ++i, ++d) devices.push({stages: d < n ? [0] : [], local: d});
      out.push({name: host.name, type: host.type, devices});
      if (d >= n) break;
    }
    return out;
  }
  const hosts = plan.hosts || Array.from({length: Math.max(...plan.stages.map(s => s.place[0] + s.place[1]))},
    () => ({name: "", type: "", devices: Math.max(...plan.stages.map(s => s.place[2] + s.place[3]))}));
  const out = hosts.map(h => ({name: h.name, type: h.type, devices: Array.from({length: h.devices}, () => ({stages: []}))}));
  plan.stages.forEach((s, i) => {
    const [host, count, first, devices] = s.place;
    for (let h = 0; h < count; ++h) for (let d = 0; d < devices; ++d) {
      const device = out[host + h].devices[first + d];
      device.stages.push(i);
      device.local = h * devices + d;
    }
  });
  return out;
}

function meshOfStage(plan, stage) { return plan.kind === "mesh" ? plan.mesh : plan.stages[stage].mesh; }
function tensorsOf(plan, stage) { return plan.notes ? plan.notes.tensors.filter(t => t.stage === stage) : []; }
function partsOf(tensor, mesh) { return tensor.split.reduce((n, axes) => n * axes.reduce((m, a) => m * mesh.shape[a], 1), 1); }

function devicesTab(plan) {
  const hosts = devicesOf(plan), aside = el("section", {class: "panel aside", "aria-live": "polite"}), buttons = [];
  const pick = (button, host, number, device) => {
    for (const b of buttons) b.setAttribute("aria-pressed", String(b === button));
    aside.replaceChildren(...deviceDetail(plan, host, number, device));
  };
  let number = 0;
  // On one host a mesh is drawn as it is: the last axis to the right.
  const across = plan.kind === "mesh" && hosts.length === 1 && hosts[0].devices.length === plan.devices_used ? plan.mesh.shape[plan.mesh.shape.length - 1] : 0;
  const grid = across > 0 && across <= 16 ? {style: `display:grid;grid-template-columns:repeat(${across},46px);max-width:none`} : {};
  const drawn = hosts.map((host, h) => el("div", {class: "host"},
    el("h3", {}, [`host ${h}`, host.type].filter(t => t).join(", ")),
    el("div", grid, host.devices.map((device, d) => {
      const n = number++;
      if (!device.stages.length) return el("span", {class: "dev big unused", tip: `device ${d} of host ${h}: not used`}, el("b", {}, "–"), n);
      const label = plan.kind === "mesh" ? coordinates(plan.mesh, device.local).join(",") : "S" + device.stages.join("+");
      const button = el("button", {type: "button", class: "dev big" + (device.stages[0] % 2 ? " odd" : ""), "aria-pressed": "false", "data-device": n,
        title: `device ${n}`}, el("b", {}, label), n);
      button.addEventListener("click", () => pick(button, h, n, device));
      buttons.push(button);
      // Unless somebody has been faster.
      const picked = () => buttons.some(b => b.getAttribute("aria-pressed") === "true");
      if (buttons.length === 1) setTimeout(() => picked() || pick(button, h, n, device), 0);
      return button;
    }))));
  const text = plan.kind === "mesh" ? `The mesh: ${plan.mesh.axes.map((a, i) => `axis ${a} of ${plan.mesh.shape[i]}`).join(", ")}. Each square is a device with its place in the mesh and its number. Click one.`
    : "Each square is a device with the stage it runs and its number; neighbouring stages differ in shade, hatched ones are not used. Click one to see what it holds.";
  return [el("div", {class: "split"}, panel("Devices", text, plan.hosts ? null : el("p", {class: "note"}, "The cluster is not known; only devices that the plan names are shown."), el("div", {class: "hosts"}, drawn)), aside)];
}

function deviceDetail(plan, host, number, device) {
  const out = [el("h2", {}, `Device ${number}`)];
  for (const i of device.stages) {
    const mesh = meshOfStage(plan, i), s = plan.kind === "mesh" ? null : plan.stages[i];
    const facts = [];
    const fact = (k, v) => facts.push(el("dt", {}, k), el("dd", {}, v));
    if (s) {
      fact("stage", `${i} of ${plan.stages.length}`);
      fact("layers", s.first === s.last ? layerName(plan, s.first) : `${layerName(plan, s.first)} to ${layerName(plan, s.last)}`);
      fact("host", `${host}, ${s.type}`);
    }
    fact("place in the mesh", coordinates(mesh, device.local).map((c, a) => `${mesh.axes[a]} = ${c} of ${mesh.shape[a]}`).join(", "));
    if (s) {
      fact("state", bytes(s.state));
      fact("activations", `${s.in_flight} × ${bytes(s.activation)}`);
      fact("workspace", bytes(s.workspace));
      fact("at most", bytes(s.peak) + (plan.limits[s.type] ? ` of ${bytes(plan.limits[s.type])}` : ""));
    } else if (plan.layout) {
      const limit = Object.values(plan.limits)[0];
      fact("at most", bytes(plan.layout.memory) + (limit ? ` of ${bytes(limit)}` : ""));
    }
    out.push(el("dl", {}, facts));
    if (s) out.push(memoryBar(plan, s, s.peak));
    const tensors = tensorsOf(plan, i);
    out.push(el("h3", {}, "What it has of the largest arrays"));
    if (!tensors.length) out.push(el("p", {class: "muted"}, missingNotes(plan)));
    else out.push(table(["array, and the part of it", ">bytes"], tensors.map(t => row([el("span", {}, el("code", {}, t.name), t.count > 1 ? ` and ${t.count - 1} like it` : "", el("br"),
      el("small", {class: "tiny num"}, pieceText(t, pieceOf(t, mesh, device.local)))), ">" + bytes(Math.ceil(t.bytes / partsOf(t, mesh)) * t.count)]))));
  }
  return out;
}

function missingNotes(plan) { return "The plan file does not name its arrays: it was not written by alpa plan, or by an older one."; }
