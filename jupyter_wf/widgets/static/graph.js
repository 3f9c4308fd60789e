// The graph in motion: pan, zoom, fit; states that change where they stand.

const SVG = "http://www.w3.org/2000/svg";
const FAR = 0.5;

function node(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function icon(state) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "wf-icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[state] ?? ICONS.new);
  svg.append(path);
  return svg;
}

function clock(seconds) {
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${two(seconds / 60)}:${two(seconds % 60)}`;
  return `${Math.floor(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function megabytes(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.round(bytes / 1e6)} MB`;
}

// A label at the upper right corner of a task, which counts what was added on its behalf.
function badge(group, text) {
  let label = group.querySelector(".wf-badge");
  if (!label) {
    label = document.createElementNS(SVG, "g");
    label.setAttribute("class", "wf-badge");
    for (const tag of ["rect", "text"]) label.append(document.createElementNS(SVG, tag));
    group.append(label);
  }
  const [box, words] = label.children;
  if (words.textContent === text) return;
  words.textContent = text;
  const wide = 12 + 6.2 * text.length;
  const right = Number(group.querySelector(".wf-box").getAttribute("width")) + 6;
  for (const [name, value] of Object.entries({ x: right - wide, y: -9, width: wide, height: 17, rx: 8.5 })) {
    box.setAttribute(name, value);
  }
  words.setAttribute("x", right - wide / 2);
  words.setAttribute("y", 3.5);
}

// Moves the window through which the drawing is seen.
function camera(stage, onMove) {
  let drawing = null;
  let size = [1, 1];
  let at = [0, 0];
  let scale = 1;
  let fitted = true;

  function move() {
    if (!drawing) return;
    const [width, height] = [stage.clientWidth || 1, stage.clientHeight || 1];
    drawing.setAttribute("viewBox", `${at[0]} ${at[1]} ${width / scale} ${height / scale}`);
    drawing.classList.toggle("wf-far", scale < FAR);
    onMove(scale);
  }
  function fit() {
    const [width, height] = [stage.clientWidth || 1, stage.clientHeight || 1];
    scale = Math.min(width / size[0], height / size[1], 1);
    at = [(size[0] - width / scale) / 2, (size[1] - height / scale) / 2];
    fitted = true;
    move();
  }
  function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
    const next = Math.min(3, Math.max(0.02, scale * factor));
    at = [at[0] + x / scale - x / next, at[1] + y / scale - y / next];
    scale = next;
    fitted = false;
    move();
  }
  function pan(dx, dy) {
    at = [at[0] - dx / scale, at[1] - dy / scale];
    fitted = false;
    move();
  }
  return {
    fit,
    zoom,
    pan,
    resized: () => (fitted ? fit() : move()),
    show(svg, width, height) {
      drawing = svg;
      size = [width, height];
      if (fitted) fit();
      else move();
    },
  };
}

function hand(stage, view, undo) {
  let from = null;
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    from = [event.clientX, event.clientY];
    stage.setPointerCapture(event.pointerId);
    stage.classList.add("wf-held");
  }, undo);
  stage.addEventListener("pointermove", (event) => {
    if (!from) return;
    view.pan(event.clientX - from[0], event.clientY - from[1]);
    from = [event.clientX, event.clientY];
  }, undo);
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, () => {
      from = null;
      stage.classList.remove("wf-held");
    }, undo);
  }
  // A plain wheel scrolls the notebook; with Ctrl, or pinching, it zooms.
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    view.zoom(Math.exp(-event.deltaY / 200), event.clientX - box.left, event.clientY - box.top);
  }, { ...undo, passive: false });
  const keys = {
    "+": () => view.zoom(1.25), "=": () => view.zoom(1.25), "-": () => view.zoom(0.8),
    ".": () => view.fit(), 0: () => view.fit(),
    ArrowLeft: () => view.pan(40, 0), ArrowRight: () => view.pan(-40, 0),
    ArrowUp: () => view.pan(0, 40), ArrowDown: () => view.pan(0, -40),
  };
  stage.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }, undo);
}

export function render({ model, el }) {
  const abort = new AbortController();
  const undo = { signal: abort.signal };
  const root = node("div", "jp-wf-view");
  root.dataset.lmSuppressShortcuts = "true";
  const bar = node("div", "wf-bar");
  const counts = node("div", "wf-counts");
  const time = node("span", "wf-time");
  const stage = node("div", "wf-stage");
  stage.tabIndex = 0;
  stage.setAttribute("role", "group");
  stage.setAttribute("aria-label", "Graph; arrow keys move it, plus and minus zoom, full stop fits");
  const note = node("div", "wf-note");
  const workers = node("div", "wf-workers");
  const said = node("span", "wf-said");
  said.setAttribute("aria-live", "polite");

  const view = camera(stage, () => {});
  const button = (label, title, act) => {
    const made = node("button", "wf-button", label);
    made.type = "button";
    made.title = title;
    made.setAttribute("aria-label", title);
    made.addEventListener("click", act, undo);
    return made;
  };
  bar.append(counts, time, node("span", "wf-space"),
    button("−", "Zoom out", () => view.zoom(0.8)),
    button("+", "Zoom in (Ctrl and wheel)", () => view.zoom(1.25)),
    button("Fit", "Show the whole graph", () => view.fit()));
  root.append(bar, stage, note, workers, said);
  el.append(root);
  hand(stage, view, undo);

  let tasks = new Map();
  let wires = [];
  let busy = false;

  function draw() {
    note.textContent = model.note;
    note.hidden = !model.note;
    stage.hidden = !model.svg;
    const before = tasks;
    tasks = new Map();
    wires = [];
    if (!model.svg) {
      stage.replaceChildren();
      return;
    }
    const drawn = new DOMParser().parseFromString(model.svg, "image/svg+xml").documentElement;
    const svg = document.importNode(drawn, true);
    const [width, height] = ["width", "height"].map((name) => Number(svg.getAttribute(name)));
    svg.setAttribute("width", "100%");
    svg.setAttribute("height", "100%");
    svg.querySelector(".wf-ground")?.remove();
    svg.querySelector("svg > title")?.remove();
    for (const group of svg.querySelectorAll(".wf-task")) {
      tasks.set(group.dataset.task, group);
      if (before.size && !before.has(group.dataset.task)) group.classList.add("wf-fresh");
    }
    wires = [...svg.querySelectorAll(".wf-wire")];
    stage.replaceChildren(svg);
    view.show(svg, width, height);
  }

  function colour() {
    const found = new Map();
    for (const [name, state] of Object.entries(model.states)) {
      found.set(state, (found.get(state) ?? 0) + 1);
      const group = tasks.get(name);
      if (!group) continue;
      const [ended, added, words] = model.added[name] ?? [0, 0, ""];
      const over = !["waiting", "ready", "running"].includes(state);
      if (added) badge(group, over ? `+ ${added}` : `${ended} of ${added}`);
      else group.querySelector(".wf-badge")?.remove();
      group.querySelector("title").textContent = [`${name}: ${state}`, words].filter(Boolean).join("\n");
      if (group.dataset.state === state) continue;
      group.dataset.state = state;
      group.querySelector(".wf-icon").setAttribute("d", ICONS[state] ?? ICONS.new);
      group.querySelector(".wf-word").textContent = state;
    }
    const chips = Object.keys(ICONS).filter((state) => found.has(state)).map((state) => {
      const chip = node("span", "wf-count", icon(state), `${found.get(state)} ${state}`);
      chip.dataset.state = state;
      return chip;
    });
    counts.replaceChildren(...chips);
    const now = found.has("running") || found.has("ready") || found.has("waiting");
    if (busy && !now) said.textContent = `Workflow at rest: ${counts.textContent}`;
    busy = now;
  }

  function tick() {
    const [started, ended] = model.times;
    if (!started) time.textContent = "";
    else time.textContent = clock(Math.max(0, (ended || Date.now() / 1000) - started));
  }

  function list() {
    workers.replaceChildren(...model.workers.map((worker) => {
      const dot = node("span", "wf-dot");
      dot.style.background = worker.colour;
      const cores = `${worker.cpu.toFixed(2)} cores`;
      const said = worker.state === "joined" ? "" : ` · ${worker.state}`;
      const memory = megabytes(worker.memory) + (worker.limit ? ` of ${megabytes(worker.limit)}` : "");
      const text = ` ${cores} · ${memory}${said}`;
      return node("span", "wf-worker", dot, node("b", "", worker.name), text);
    }));
  }

  function light(event) {
    const name = event.target.closest?.(".wf-task")?.dataset.task;
    for (const wire of wires) {
      wire.classList.toggle("wf-lit", name !== undefined
        && (wire.dataset.from === name || wire.dataset.to === name));
    }
  }
  stage.addEventListener("pointerover", light, undo);

  model.on("svg", () => { draw(); colour(); });
  model.on("note", draw);
  model.on("states", colour);
  model.on("added", colour);
  model.on("times", tick);
  model.on("workers", list);
  const ticking = setInterval(tick, 200);
  const watcher = new ResizeObserver(() => view.resized());
  watcher.observe(stage);
  model.on("remove", () => {
    abort.abort();
    clearInterval(ticking);
    watcher.disconnect();
  });
  draw();
  colour();
  tick();
  list();
}
