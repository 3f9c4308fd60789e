// Shows a Bokeh document that lives in the kernel: loads the scripts, opens it, follows it.

const KEY = Symbol.for("jupyter_wf.scripts");

function baseUrl() {
  const config = document.getElementById("jupyter-config-data");
  return config ? JSON.parse(config.textContent).baseUrl : null;
}

function inject(source, integrity) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = source;
    if (integrity) {
      script.integrity = integrity;
      script.crossOrigin = "anonymous";
    }
    script.onload = resolve;
    script.onerror = () => {
      script.remove();
      reject(new Error(`${source} could not be loaded.`));
    };
    document.head.append(script);
  });
}

function asked(model, request, answers) {
  return new Promise((resolve) => {
    const heard = (message, buffers) => {
      if (!answers(message)) return;
      model.off("msg:custom", heard);
      resolve([message, buffers]);
    };
    model.on("msg:custom", heard);
    model.send(request);
  });
}

async function fromKernel(model, { name }) {
  const [, [packed]] = await asked(
    model, { type: "script", name }, (m) => m.type === "script" && m.name === name);
  const bytes = packed.buffer ? packed : new Uint8Array(packed);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const url = URL.createObjectURL(
    new Blob([await new Response(stream).arrayBuffer()], { type: "text/javascript" }));
  await inject(url);
  URL.revokeObjectURL(url);
}

function present(version) {
  const found = window.Bokeh?.version === version ? window.Bokeh : window.Bokeh?.versions?.get?.(version);
  return found?.Panel || found?.Models?.get?.("panel.models.layout.Column") ? found : null;
}

async function load(model) {
  const { version, scripts } = model.get("manifest");
  // Panel imports its components through es-module-shims, which no browser of today needs.
  window.importShim ??= Object.assign((url) => import(url), { addImportMap: () => {} });
  if (!present(version)) {
    const base = baseUrl();
    for (const script of scripts) {
      try {
        if (base === null) throw new Error("no Jupyter server");
        await inject(base + script.url, script.integrity);
      } catch {
        await fromKernel(model, script);
      }
    }
  }
  return present(version) ?? window.Bokeh;
}

function loaded(model) {
  const { version } = model.get("manifest");
  const all = (window[KEY] ??= new Map());
  if (!all.has(version)) {
    all.set(version, load(model).catch((error) => {
      all.delete(version);
      throw error;
    }));
  }
  return all.get(version);
}

// Bokeh reads CSS variables when it paints, so a change of theme needs a new painting.
function repaintWithTheme(repaint) {
  let due = [];
  const watcher = new MutationObserver(() => {
    due.forEach(clearTimeout);
    // The attribute changes before the new style sheet is in force, which takes a while.
    due = [300, 1500].map((delay) => setTimeout(repaint, delay));
  });
  watcher.observe(document.body, { attributeFilter: ["data-jp-theme-name", "data-jp-theme-light"] });
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", repaint);
  return () => {
    due.forEach(clearTimeout);
    watcher.disconnect();
    media.removeEventListener("change", repaint);
  };
}

export default {
  async render({ model, el }) {
    const root = document.createElement("div");
    root.dataset.lmSuppressShortcuts = "true";
    el.append(root);
    const { assets } = model.get("manifest");
    const base = baseUrl();
    // Style sheets that Panel would fetch from its CDN come from the server as well.
    const local = (text) => (base === null
      ? text
      : text.replaceAll(assets, `${base}panel-preview/static/extensions/panel/`));
    const view = crypto.randomUUID();
    let closed = false;
    let unwatch = () => {};
    let shown = null;
    let early = [];
    const apply = (message) => shown.doc.apply_json_patch(JSON.parse(local(message.content)));
    const heard = (message) => {
      if (message.type !== "patch" || message.skip === view) return;
      if (shown) apply(message);
      else early?.push(message);
    };
    try {
      const bokeh = await loaded(model);
      if (closed) return undefined;
      const [reply] = await asked(model, { type: "open", view }, (m) => {
        const mine = m.type === "document" && m.view === view;
        if (mine) model.on("msg:custom", heard);
        return mine;
      });
      // From here on the live view takes the place of the static one.
      root.className = "jp-wf-live";
      const views = await bokeh.embed.embed_item(JSON.parse(local(reply.item)), root);
      const [top] = views.roots ?? [...views];
      const doc = top.model.document;
      shown = { views, doc };
      early.forEach(apply);
      early = null;
      unwatch = repaintWithTheme(() => {
        for (const model of doc._all_models.values()) {
          if (model.type === "Figure") model.change.emit();
        }
      });
      doc.on_change((event) => {
        if (event.sync === false) return;
        const events = event.events ?? [event];
        const content = JSON.stringify(doc.create_json_patch(events));
        model.send({ type: "patch", view, content });
      });
    } catch (error) {
      root.textContent = `The view can't be shown: ${error.message}`;
    }
    return () => {
      closed = true;
      unwatch();
      model.off("msg:custom", heard);
      shown?.views.clear?.();
      shown?.doc.clear?.({ sync: false });
    };
  },
};
