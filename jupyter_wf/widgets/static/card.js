// The card of one task. Everything from the kernel is shown with textContent, never as HTML.

const MOST_LOG = 200_000;
const SVG = "http://www.w3.org/2000/svg";

function node(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function icon(state) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "jp-wf-icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[state] ?? ICONS.new);
  svg.append(path);
  return svg;
}

function duration(seconds) {
  if (!(seconds >= 0)) return "";
  if (seconds < 0.0995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const [minutes, rest] = [Math.floor(seconds / 60), Math.floor(seconds % 60)];
  if (minutes < 60) return `${minutes} min ${rest} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (bytes >= 1000 && power < units.length - 1) {
    bytes /= 1000;
    power += 1;
  }
  return `${bytes < 10 && power ? bytes.toFixed(1) : Math.round(bytes)} ${units[power]}`;
}

// -- previews ------------------------------------------------------------------------------------

const PALETTE = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

function shade(share) {
  const at = share * (PALETTE.length - 1);
  const low = Math.min(Math.floor(at), PALETTE.length - 2);
  return PALETTE[low].map((c, i) => c + (PALETTE[low + 1][i] - c) * (at - low));
}

function bytes(text) {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

function canvas(width, height, paint, label) {
  const made = node("canvas", "jp-wf-raster");
  made.width = width;
  made.height = height;
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", label);
  const longest = Math.max(width, height);
  made.style.width = `${Math.max(24, (120 * width) / longest)}px`;
  made.style.height = `${Math.max(24, (120 * height) / longest)}px`;
  const context = made.getContext("2d");
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i += 1) image.data.set(paint(i), 4 * i);
  context.putImageData(image, 0, 0);
  return made;
}

function line(data, label) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 180 60");
  svg.setAttribute("class", "jp-wf-line");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const span = data.high - data.low || 1;
  let d = "";
  let pen = "M";
  data.values.forEach((value, i) => {
    if (value === null) {
      pen = "M";
      return;
    }
    const x = 2 + (176 * i) / Math.max(1, data.values.length - 1);
    d += `${pen}${x.toFixed(1)} ${(57 - (54 * (value - data.low)) / span).toFixed(1)}`;
    pen = "L";
  });
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", d);
  svg.append(path);
  return svg;
}

function table(data) {
  const head = node("tr", "", node("th", ""), ...data.columns.map((c) => node("th", "", c)));
  const rows = data.rows.map((row, i) =>
    node("tr", "", node("th", "", data.index[i]), ...row.map((cell) => node("td", "", cell))));
  return node("table", "", node("thead", "", head), node("tbody", "", ...rows));
}

const between = (data) => `${data.low} … ${data.high}`;

const PICTURES = {
  text: (data) => [node("pre", "jp-wf-text", data.text), ""],
  line: (data, name) => [line(data, `${name}: line from ${between(data)}`), between(data)],
  heat: (data, name) => {
    const cells = bytes(data.cells);
    const paint = (i) => (cells[i] === 255 ? [128, 128, 128, 60] : [...shade(cells[i] / 254), 255]);
    const label = `${name}: heat map from ${between(data)}`;
    return [canvas(data.width, data.height, paint, label), between(data)];
  },
  image: (data, name) => {
    const rgb = bytes(data.rgb);
    const paint = (i) => [rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2], 255];
    return [canvas(data.width, data.height, paint, `${name}: picture`), ""];
  },
  png: (data, name) => {
    const image = node("img", "jp-wf-picture");
    image.alt = `${name}: picture`;
    image.src = `data:image/png;base64,${data.data}`;
    return [image, ""];
  },
  table: (data) => [table(data), ""],
};

function picture(name, data) {
  if (!Object.hasOwn(PICTURES, data.kind)) return null;
  const [body, range] = PICTURES[data.kind](data, name);
  const note = [range, data.note].filter(Boolean).join(" · ");
  return node("figure", "jp-wf-figure",
    node("figcaption", "", node("b", "", name), note ? ` ${note}` : null), body);
}

// -- the log, kept once for each model -----------------------------------------------------------

function tidy(text) {
  // What a terminal would show: colours left out, lines overwritten by a carriage return gone.
  const kept = text.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, "").split("\n").map((row) => {
    const whole = row.replace(/\r$/, "");
    return whole.slice(whole.lastIndexOf("\r") + 1);
  });
  return kept.join("\n");
}

function take(log, message) {
  if (message.reset) {
    log.items = [];
    log.length = 0;
  }
  for (const [stream, text] of message.items) {
    const last = log.items.at(-1);
    if (last && last[0] === stream) last[1] += text;
    else log.items.push([stream, text]);
    log.length += text.length;
  }
  while (log.length > MOST_LOG && log.items.length) {
    const [first] = log.items;
    const extra = Math.min(first[1].length, log.length - MOST_LOG);
    first[1] = first[1].slice(extra);
    log.length -= extra;
    if (!first[1]) log.items.shift();
  }
  log.changed.dispatchEvent(new Event("log"));
}

// -- the card ------------------------------------------------------------------------------------

function initialize({ model }, log) {
  const heard = (message) => {
    if (message.type === "log") take(log, message);
  };
  model.on("msg:custom", heard);
  model.send({ type: "hello" });
  return () => model.off("msg:custom", heard);
}

function button(label, title, act) {
  const made = node("button", "jp-wf-button", label);
  made.type = "button";
  made.title = title;
  made.addEventListener("click", act);
  return made;
}

// How a name is written: in short where the kernel says so. The whole name is its tooltip.
function written(name, short = {}) {
  return Object.hasOwn(short, name) ? short[name] : name;
}

function chips(names, short, describe) {
  return names.map((item) => {
    const name = item.name ?? item;
    const chip = node("span", "jp-wf-chip", node("code", "", written(name, short)));
    chip.title = name;
    const more = describe?.(item);
    if (more) chip.append(node("span", "jp-wf-soft", more));
    return chip;
  });
}

function progressBar({ done, total, note }) {
  const bar = node("div", "jp-wf-progress");
  bar.setAttribute("role", "progressbar");
  const fill = node("div", total > 0 ? "jp-wf-fill" : "jp-wf-fill jp-wf-unknown");
  let text = note;
  if (total > 0) {
    const share = Math.min(1, Math.max(0, done / total));
    fill.style.width = `${100 * share}%`;
    bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    bar.setAttribute("aria-valuemin", "0");
    bar.setAttribute("aria-valuemax", "100");
    text = [`${Math.round(100 * share)} %`, note].filter(Boolean).join(" · ");
  } else if (done) {
    text = [String(done), note].filter(Boolean).join(" · ");
  }
  bar.append(fill);
  return node("div", "jp-wf-row", bar, node("span", "jp-wf-soft", text));
}

function traceback(error) {
  const lines = error.lines.length ? ` (line ${error.lines.join(", ")} of the cell)` : "";
  const box = node("div", "jp-wf-error",
    node("div", "", node("b", "", error.type), `: ${error.message}`, node("span", "jp-wf-soft", lines)));
  if (error.traceback) {
    const details = node("details", "", node("summary", "", "Traceback"),
      node("pre", "", tidy(error.traceback)));
    details.open = true;
    box.append(details);
  }
  return box;
}

function render({ model, el }, log) {
  const undo = new AbortController();
  const root = node("div", "jp-wf jp-wf-live");
  root.dataset.lmSuppressShortcuts = "true";
  const card = node("section", "jp-wf-card");
  card.setAttribute("role", "group");
  const said = node("span", "jp-wf-said");
  said.setAttribute("aria-live", "polite");
  const head = node("div", "jp-wf-head");
  const time = node("span", "jp-wf-time jp-wf-soft");
  const body = node("div", "jp-wf-body");
  const figures = node("div", "jp-wf-figures");
  const count = node("span", "jp-wf-soft");
  const text = node("pre", "jp-wf-log");
  text.tabIndex = 0;
  text.setAttribute("aria-label", "Log");
  const drawer = node("details", "", node("summary", "", "Log ", count), text);
  card.append(head, body, figures, drawer, said);
  root.append(card);
  el.append(root);

  const facts = () => model.get("facts");
  let state = null;
  let opened = false;

  function tick() {
    const { started, seconds } = facts();
    time.textContent = started
      ? duration(Math.max(0, Date.now() / 1000 - started))
      : seconds === undefined ? "" : duration(seconds);
  }

  function buttons(now) {
    if (now.busy) {
      return button("Cancel", `Stop ${now.task}`, () => model.send({ type: "cancel" }));
    }
    const again = now.state === "stored" || now.state === "cached";
    const title = again ? `Compute ${now.task} again` : `Run ${now.task} and what it needs`;
    return button(again ? "Run again" : "Run", title, () => model.send({ type: "run" }));
  }

  function showFacts() {
    const now = facts();
    card.dataset.task = now.task;
    card.dataset.state = now.state;
    card.setAttribute("aria-label", `Task ${now.task}`);
    const focused = head.contains(document.activeElement);
    const where = [now.worker, now.attempt ? `attempt ${now.attempt}` : ""].filter(Boolean);
    const name = node("span", "jp-wf-name", written(now.task, now.short));
    name.title = now.task;
    head.replaceChildren(
      icon(now.state), name, node("span", "jp-wf-word", now.state), time,
      node("span", "jp-wf-where jp-wf-soft", where.join(" · ")), node("span", "jp-wf-space"),
      buttons(now),
    );
    if (focused) head.querySelector("button").focus({ preventScroll: true });
    tick();
    const outputs = chips(now.outputs ?? [], now.short, (o) =>
      [o.summary, o.nbytes >= 1000 ? size(o.nbytes) : ""].filter(Boolean).join(" · "));
    const inputs = chips(now.inputs ?? [], now.short);
    const arrow = node("span", "jp-wf-arrow jp-wf-soft", "→");
    arrow.setAttribute("aria-label", "to");
    body.replaceChildren(
      node("div", "jp-wf-row", ...inputs, inputs.length && outputs.length ? arrow : null, ...outputs),
    );
    if (now.progress) body.append(progressBar(now.progress));
    if (now.added) body.append(node("div", "jp-wf-soft", now.added));
    if (now.why && !now.error) body.append(node("div", "jp-wf-soft", now.why));
    if (now.notice) body.append(node("div", "jp-wf-error", now.notice));
    if (now.error) body.append(traceback(now.error));
    if (state !== null && state !== now.state) said.textContent = `Task ${written(now.task, now.short)} is ${now.state}.`;
    state = now.state;
    showPreviews();
  }

  function showPreviews() {
    const { outputs = [], short, state: now } = facts();
    const previews = ["stored", "cached", "running"].includes(now) ? model.get("previews") : {};
    figures.replaceChildren(
      ...outputs
        .filter(({ name, summary }) => {
          const found = Object.hasOwn(previews, name) ? previews[name] : null;
          return found && found.text !== summary;
        })
        .map(({ name }) => picture(written(name, short), previews[name]))
        .filter(Boolean),
    );
  }

  let due = 0;
  function showLog() {
    due = 0;
    drawer.hidden = log.items.length === 0;
    const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 24;
    const pieces = log.items.map(([stream, piece]) => node("span", `jp-wf-from-${stream}`, tidy(piece)));
    text.replaceChildren(...pieces);
    const lines = text.textContent.trimEnd().split("\n").length;
    count.textContent = `${lines} ${lines === 1 ? "line" : "lines"}`;
    if (!opened && log.items.length) drawer.open = opened = true;
    if (atEnd) text.scrollTop = text.scrollHeight;
  }

  log.changed.addEventListener("log", () => { due ||= requestAnimationFrame(showLog); }, undo);
  model.on("change:facts", showFacts);
  model.on("change:previews", showPreviews);
  const clock = setInterval(tick, 200);
  showFacts();
  showLog();
  return () => {
    undo.abort();
    clearInterval(clock);
    cancelAnimationFrame(due);
    model.off("change:facts", showFacts);
    model.off("change:previews", showPreviews);
  };
}

export default () => {
  const log = { items: [], length: 0, changed: new EventTarget() };
  return {
    initialize: (props) => initialize(props, log),
    render: (props) => render(props, log),
  };
};
