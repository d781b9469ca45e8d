// Asks and shows the answer token by token. Whatever a model says is set as text. Without this script the form answers
// with a whole page.
"use strict";
(() => {
  const form = document.getElementById("prompt");
  if (!form) return;
  const part = (id) => document.getElementById(id);
  const [answer, text, trouble, waiting, reasoning, empty, figures] = ["answer", "answer-text", "answer-trouble", "answer-waiting", "answer-reasoning", "answer-empty", "answer-figures"].map(part);
  const ask = form.querySelector("[data-ask]"), stop = form.querySelector("[data-stop]");
  let asking = null;

  const figure = (name, words) => { figures.querySelector(`[data-figure=${name}]`).textContent = words; };
  const seconds = (value) => `${value.toFixed(2)} s`;
  const say = (note, words) => { note.hidden = !words; note.querySelector("span").textContent = words; };

  const begin = () => {
    for (const each of [text, reasoning, figures, empty]) each.hidden = true;
    text.textContent = "";
    reasoning.querySelector("p").textContent = "";
    part("figures").textContent = "Asking…";
    say(trouble, ""); say(waiting, "");
    for (const name of ["first", "seconds", "tokens", "rate", "finish"]) figure(name, "–");
    answer.setAttribute("aria-busy", "true");
    ask.disabled = true; stop.hidden = false;
  };
  const end = (words) => {
    answer.setAttribute("aria-busy", "false");
    ask.disabled = false; stop.hidden = true; asking = null;
    say(waiting, "");
    part("figures").textContent = words;
    text.classList.remove("arriving");
    if (text.hidden && reasoning.hidden && trouble.hidden) { empty.hidden = false; empty.textContent = "No text came."; }
  };

  const told = (state, said) => {
    state.seconds = said.seconds;
    if (said.kind === "waiting") say(waiting, `The model is not on the device. It comes at the next slice boundary; waiting for ${Math.round(said.seconds)} s.`);
    if (said.kind === "failed") say(trouble, said.words);
    if (said.kind === "text" || said.kind === "reasoning") {
      if (state.first === null) { state.first = said.seconds; figures.hidden = false; figure("first", seconds(said.seconds)); part("figures").textContent = "Answering…"; }
      say(waiting, "");
      const place = said.kind === "text" ? text : reasoning.querySelector("p");
      (said.kind === "text" ? text : reasoning).hidden = false;
      text.classList.toggle("arriving", said.kind === "text");
      place.append(said.text);
    }
    if (said.kind === "sum") {
      if (said.finish_reason) figure("finish", said.finish_reason === "length" ? "the most tokens (length)" : said.finish_reason);
      if (said.output_tokens !== null) { state.tokens = said.output_tokens; figure("tokens", `${said.input_tokens.toLocaleString()}, ${said.output_tokens.toLocaleString()}`); }
    }
  };

  const read = async (body, state) => {
    const decoder = new TextDecoder();
    let rest = "";
    for (const reader = body.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line.startsWith("data: ")) told(state, JSON.parse(line.slice(6)));
    }
  };

  const start = async () => {
    if (asking || !form.reportValidity()) return;
    const state = { first: null, tokens: null, seconds: 0 };
    asking = new AbortController();
    const { signal } = asking;
    begin();
    try {
      const body = new URLSearchParams(new FormData(form));
      const response = await fetch(form.dataset.stream, { method: "POST", body, signal, headers: { "X-CSRF-Token": body.get("csrf"), "HX-Request": "true" } });
      if (response.headers.get("hx-redirect")) { location.assign(response.headers.get("hx-redirect")); return; }
      if (!(response.headers.get("content-type") || "").startsWith("text/event-stream")) throw new Error("no answer");
      await read(response.body, state);
      if (state.first !== null) {
        figure("seconds", seconds(state.seconds));
        if (state.tokens && state.seconds > state.first) figure("rate", (state.tokens / (state.seconds - state.first)).toFixed(1));
      }
      end(trouble.hidden ? "Done" : "");
    } catch {
      if (!signal.aborted) say(trouble, "The console does not answer, or this page is from before it was restarted. Load it again, then ask.");
      end(signal.aborted ? "Stopped" : "");
    }
  };

  form.addEventListener("submit", (event) => {
    if (event.submitter && event.submitter.hasAttribute("data-plain")) return;
    event.preventDefault();
    start();
  });
  stop.addEventListener("click", () => { if (asking) asking.abort(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && asking) asking.abort();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && form.contains(event.target)) { event.preventDefault(); start(); }
  });
})();
