// The console's own script: a page that stays true, times in the visitor's zone, plots, keys. Every page can be read
// without it.
"use strict";
(() => {
  const SILENT_MS_MAX = 15000;
  const root = document.documentElement;
  root.classList.add("script");

  // Times: the server writes UTC, the browser shows its own zone and keeps UTC in the title.
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
  const seconds = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hour12: false });
  const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short", hour12: false });
  const momentThisYear = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false });
  const momentWords = (at) => (at.getFullYear() === new Date().getFullYear() ? momentThisYear : moment).format(at);
  const localise = (part) => {
    for (const element of part.querySelectorAll("time[data-time]")) {
      const at = new Date(element.dateTime);
      element.title = at.toISOString().replace("T", " ").replace(".000Z", " UTC");
      element.textContent = element.dataset.time === "clock" ? clock.format(at) : momentWords(at);
    }
    for (const element of part.querySelectorAll("text[data-unix]")) {
      element.textContent = clock.format(new Date(1000 * Number(element.dataset.unix)));
    }
  };

  // Plots: drawn from the JSON beside them, in the colours of the theme.
  const plots = new Map();
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const draw = (part) => {
    if (!window.uPlot) return;
    for (const [element, plot] of plots) {
      if (!element.isConnected) { plot.destroy(); plots.delete(element); }
    }
    for (const element of part.querySelectorAll("[data-series]")) {
      const series = JSON.parse(element.dataset.series);
      const target = element.querySelector(".canvas");
      if (!series.starts_at || !target) continue;
      const times = series.completed.map((_, index) => series.starts_at + index * series.step_seconds);
      const rate = (values) => values.map((value) => value / series.step_seconds);
      const data = [times, rate(series.completed), rate(series.failed), rate(series.output_tokens)];
      const existing = plots.get(target);
      if (existing) { existing.setData(data); continue; }
      const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
      const line = (label, name, scale) => ({ label, scale, stroke: colour(name), width: 2, points: { show: times.length < 3 }, value: (_, v) => (v == null ? "–" : v.toLocaleString(undefined, { maximumFractionDigits: 1 })) });
      plots.set(target, new uPlot({
        width: target.clientWidth, height: 220, cursor: { drag: { x: true, y: false } },
        scales: { tokens: {} },
        axes: [{ ...axis, space: 70, values: (_, splits) => splits.map((at) => seconds.format(new Date(1000 * at))) }, { ...axis, label: "answers a second", labelSize: 18, size: 48 }, { ...axis, side: 1, scale: "tokens", grid: { show: false }, label: "tokens a second", labelSize: 18, size: 56 }],
        series: [{ label: "Time", value: (_, at) => (at == null ? "–" : seconds.format(new Date(1000 * at))) }, line("Answers", "--bar-good", "y"), line("Failed", "--bar-bad", "y"), { ...line("Output tokens", "--muted", "tokens"), dash: [4, 4] }],
      }, data, target));
    }
  };
  window.addEventListener("resize", () => plots.forEach((plot, element) => plot.setSize({ width: element.clientWidth, height: 220 })));

  const refresh = (part) => { localise(part); draw(part); };
  refresh(document);
  document.addEventListener("htmx:afterSwap", (event) => refresh(event.detail.target));
  document.addEventListener("htmx:oobAfterSwap", (event) => refresh(event.detail.target));

  // The stream: one a page, closed while nobody looks. Whenever it opens, it begins with the page as it is then.
  const main = document.querySelector("[data-live]");
  const address = main ? main.dataset.live : "";
  let source = null, heardAt = Date.now(), troubleSince = null;
  const say = (state, words) => {
    root.dataset.liveState = state;
    const label = document.querySelector(".live");
    if (label) label.textContent = words;
  };
  const bar = document.querySelector(".stale-bar");
  const stale = (words) => {
    troubleSince = troubleSince || new Date();
    say("stale", "Not live");
    if (!bar) return;
    bar.hidden = false;
    bar.querySelector("span").textContent = `Not live since ${troubleSince.toLocaleTimeString(undefined, { hour12: false })}: ${words}${source ? " Trying again." : ""}`;
  };
  const fresh = () => {
    heardAt = Date.now();
    troubleSince = null;
    say("live", "Live");
    if (bar) bar.hidden = true;
  };
  const put = (name, html) => {
    const part = document.querySelector(`[data-fragment="${CSS.escape(name)}"]`);
    if (!part) return;
    let isNewToHtmx = false;
    Idiomorph.morph(part, html, { morphStyle: "innerHTML", callbacks: {
      afterNodeAdded: (node) => { if (node.nodeType === 1) isNewToHtmx = true; },
      beforeAttributeUpdated: (attribute) => { if (attribute.startsWith("hx-")) isNewToHtmx = true; return true; },
      beforeNodeMorphed: (old, next) => {
        if (old.nodeType !== 1) return true;
        if (old.matches("[data-changed]")) return false; // what a visitor has set and not yet sent
        if (old === document.activeElement && old.matches("input, textarea, select")) return false;
        if (old.classList.contains("canvas") || old.hasAttribute("data-keep")) return false;
        if (old.tagName === "DETAILS" && old.open) next.setAttribute("open", "");
        return true;
      },
    } });
    if (window.htmx && isNewToHtmx) htmx.process(part);
    refresh(part);
    const title = part.querySelector("[data-title]");
    if (title) document.title = title.dataset.title;
  };
  const open = () => {
    if (!address || source || document.hidden) return;
    source = new EventSource(address);
    const on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data)));
    on("fragment", (data) => { fresh(); requestAnimationFrame(() => put(data.name, data.html)); });
    on("beat", fresh);
    on("trouble", (data) => { heardAt = Date.now(); stale(data.words); });
    on("logged-out", () => {
      close();
      // The first key of a server logs out whoever has just made it: it is shown once, so the page stays.
      if (document.getElementById("secret-text")) stale("the server asks for a key now. Copy it, then log in.");
      else location.assign("/login");
    });
    source.onerror = () => {
      stale("the console does not answer.");
      if (source && source.readyState === EventSource.CLOSED) { close(); setTimeout(open, 2000); }
    };
  };
  const close = () => { if (source) source.close(); source = null; };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { close(); say("paused", "Paused while hidden"); } else { heardAt = Date.now(); open(); }
  });
  setInterval(() => {
    if (source && Date.now() - heardAt > SILENT_MS_MAX) { stale("nothing was heard for 15 s."); close(); open(); }
  }, 5000);
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  open();

  // Small things: the menu, copying, dropping a file, a form that was sent.
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-act]");
    if (!target) return;
    const act = target.dataset.act;
    if (act === "menu") {
      const isOpen = document.querySelector(".side").classList.toggle("open");
      target.setAttribute("aria-expanded", String(isOpen));
    }
    if (act === "copy") navigator.clipboard.writeText(document.getElementById(target.dataset.from).textContent).then(() => { target.textContent = "Copied"; });
    if (act === "step") {
      const field = target.parentElement.querySelector("input[name=priority]");
      field.dataset.changed = "yes";
      field.value = Math.max(-100, Math.min(100, Number(field.value || 0) + Number(target.dataset.by)));
    }
    if (act === "close-panel") { const panel = target.closest(".panel"); panel.replaceChildren(); const back = document.querySelector("tr.selected a"); if (back) back.focus(); }
    if (act === "close-dialog") target.closest("dialog").close();
  });
  document.addEventListener("input", (event) => { event.target.dataset.changed = "yes"; });
  document.addEventListener("htmx:afterRequest", (event) => {
    event.target.querySelectorAll("[data-changed]").forEach((field) => delete field.dataset.changed);
  });
  const zone = document.querySelector(".drop");
  if (zone) {
    const field = zone.querySelector("input[type=file]");
    const over = (is) => (event) => { event.preventDefault(); zone.classList.toggle("over", is); };
    zone.addEventListener("dragover", over(true));
    zone.addEventListener("dragleave", over(false));
    zone.addEventListener("drop", (event) => { over(false)(event); field.files = event.dataTransfer.files; });
  }
  document.addEventListener("submit", (event) => {
    const button = event.target.querySelector("button[data-busy]");
    if (button && !event.target.hasAttribute("hx-post")) setTimeout(() => { button.disabled = true; button.textContent = button.dataset.busy; });
  });
  window.addEventListener("pageshow", () => document.querySelectorAll("button[data-busy][disabled]").forEach((button) => { button.disabled = false; button.textContent = button.dataset.label; }));
  const again = document.querySelector("[data-retry]");
  if (again) setTimeout(() => location.reload(), 5000);
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.id === "toasts") setTimeout(() => { const first = event.detail.target.firstElementChild; if (first) first.remove(); }, 6000);
  });
  // At once, not when htmx has settled: a key may follow within those milliseconds, and must start from the row that is shown.
  document.addEventListener("htmx:afterSwap", (event) => {
    if (!event.detail.target.classList.contains("panel")) return;
    document.querySelectorAll("tr.selected").forEach((row) => row.classList.remove("selected"));
    const heading = event.detail.target.querySelector("h2");
    if (heading) heading.focus();
    const link = event.detail.requestConfig && event.detail.requestConfig.elt;
    if (link && link.closest("tr")) link.closest("tr").classList.add("selected");
  });
  document.addEventListener("htmx:sendError", () => {
    const toast = Object.assign(document.createElement("div"), { className: "toast bad", textContent: "The console does not answer. Nothing was changed." });
    document.getElementById("toasts").append(toast);
    setTimeout(() => toast.remove(), 6000);
  });

  // Keys, outside of fields: g then a letter goes, j and k walk a list, / searches, ? helps.
  const places = { o: "/", q: "/queue", b: "/batches", n: "/batches/new", m: "/models", p: "/playground", f: "/files", e: "/events", h: "/help", a: "/admin", k: "/admin/keys", c: "/config" };
  let waitsForPlace = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
    if (event.key === "Escape") { const panel = document.querySelector(".panel [data-act=close-panel]"); if (panel) panel.click(); return; }
    if (waitsForPlace) { waitsForPlace = false; if (places[event.key]) location.assign(places[event.key]); return; }
    if (event.key === "g") { waitsForPlace = true; setTimeout(() => { waitsForPlace = false; }, 1500); return; }
    const wanted = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (wanted) {
      event.preventDefault();
      wanted.click();
      const field = wanted.tagName === "SUMMARY" && wanted.parentElement.open ? wanted.parentElement.querySelector("textarea:not([hidden])") : null;
      if (field) field.focus();
      return;
    }
    if (event.key === "/") { const field = document.querySelector("input[type=search]"); if (field) { event.preventDefault(); field.focus(); } return; }
    if (event.key === "?") { const dialog = document.getElementById("keys"); if (dialog && !dialog.open) dialog.showModal(); return; }
    if (event.key === "j" || event.key === "k") {
      const links = [...document.querySelectorAll("[data-rows] a[data-row]")];
      const focused = links.indexOf(document.activeElement);
      const at = focused < 0 ? links.findIndex((link) => link.closest("tr.selected")) : focused;
      const next = links[Math.max(0, Math.min(links.length - 1, at + (event.key === "j" ? 1 : -1)))];
      if (next) next.focus();
    }
  });
})();
