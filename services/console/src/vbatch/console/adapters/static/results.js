// A list of answers of any length: pages of it are fetched as they are scrolled to, and those far away leave the page
// while their height stays. Without this script the list has links to its pages.
"use strict";
(() => {
  const NEAR = "1600px 0px";
  const PAGE_HEIGHT_GUESS = 4000;
  const table = document.querySelector("[data-results]");
  const panel = document.getElementById("panel");
  if (table) {
    const pager = document.querySelector(".pager");
    if (pager && !pager.querySelector("a:not([rel=next])")) pager.hidden = true;
    else if (pager && pager.querySelector("[rel=next]")) pager.querySelector("[rel=next]").hidden = true;
    const columns = table.tHead.rows[0].cells.length;

    const blank = (page, height) => {
      const cell = document.createElement("td");
      cell.colSpan = columns;
      cell.className = "waiting";
      cell.style.height = `${height}px`;
      const row = document.createElement("tr");
      row.append(cell);
      page.replaceChildren(row);
      page.dataset.blank = "yes";
    };
    const follow = (page) => {
      if (!page.dataset.next || page.nextElementSibling) return;
      const next = document.createElement("tbody");
      next.dataset.page = page.dataset.next;
      page.after(next);
      blank(next, PAGE_HEIGHT_GUESS);
      observer.observe(next);
    };
    const fill = async (page) => {
      if (!page.dataset.blank || page.dataset.busy) return;
      page.dataset.busy = "yes";
      try {
        const answer = await fetch(page.dataset.page, { headers: { "HX-Request": "true" } });
        const body = await answer.text();
        const parsed = new DOMParser().parseFromString(`<table>${body}</table>`, "text/html").querySelector("tbody");
        if (!answer.ok || !parsed) throw new Error("no rows");
        page.replaceChildren(...parsed.children);
        if (parsed.dataset.next) page.dataset.next = parsed.dataset.next;
        delete page.dataset.blank;
        if (window.htmx) htmx.process(page);
        follow(page);
      } catch {
        const cell = page.querySelector("td");
        if (cell) cell.textContent = "These lines could not be loaded. Scroll away and back to try again.";
      } finally {
        delete page.dataset.busy;
      }
    };
    const leave = (page) => {
      if (page.dataset.blank || page.contains(document.activeElement) || page.querySelector("tr.selected")) return;
      blank(page, page.getBoundingClientRect().height);
    };
    const observer = new IntersectionObserver((entries) => {
      for (const entry of entries) (entry.isIntersecting ? fill : leave)(entry.target);
    }, { rootMargin: NEAR });
    for (const page of table.tBodies) { observer.observe(page); follow(page); }
  }

  // How an answer is shown is kept from one to the next, in this tab.
  const kept = () => sessionStorage.getItem("shape") || "";
  document.addEventListener("click", (event) => {
    const shape = event.target.closest("[data-shape]");
    if (shape) sessionStorage.setItem("shape", shape.dataset.shape);
  }, true);
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.target === panel && kept()) event.detail.parameters.as = kept();
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const shape = event.target.querySelector ? document.querySelector(`[data-shape="${CSS.escape(kept())}"]`) : null;
    if (event.target.matches && event.target.matches("[data-line]") && shape) shape.focus();
  });

  // While an answer is open, j and k open the next and the previous one.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "j" && event.key !== "k") return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    // Once the key has moved the focus, which another listener does.
    setTimeout(() => { if (panel && panel.childElementCount && document.activeElement.matches("[data-row]")) document.activeElement.click(); });
  });
})();
