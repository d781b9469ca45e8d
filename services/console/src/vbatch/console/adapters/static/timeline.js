// The slider over the events of a batch: the state it points at is fetched while it is moved. Without this script there
// are links from event to event.
"use strict";
(() => {
  const WAIT_MS = 120;
  let timer = 0, asked = 0;
  document.addEventListener("input", (event) => {
    const slider = event.target.closest("[data-steps]");
    if (!slider) return;
    clearTimeout(timer);
    timer = setTimeout(() => show(slider), WAIT_MS);
  });
  const show = async (slider) => {
    const sequence = JSON.parse(slider.dataset.steps)[Number(slider.value)];
    const number = ++asked;
    const answer = await fetch(`${slider.dataset.address}?at=${sequence}`, { headers: { "HX-Request": "true" } });
    const html = await answer.text();
    const part = document.querySelector("[data-state]");
    if (!answer.ok || number !== asked || !part) return;
    Idiomorph.morph(part, html, { morphStyle: "innerHTML", callbacks: { beforeNodeMorphed: (old) => old !== slider } });
    for (const element of part.querySelectorAll("time[data-time]")) element.textContent = new Date(element.dateTime).toLocaleString();
    history.replaceState(null, "", `${location.pathname}?at=${sequence}`);
  };
})();
