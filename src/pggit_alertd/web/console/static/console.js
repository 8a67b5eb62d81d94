// Keeps a page fresh and its charts readable. Every page works without it.
//
// Freshness: the page is fetched again every few seconds and only the sections whose text has changed are exchanged, so
// nothing flickers, scrolls or loses the focus. It rests while the tab is hidden, while updates are paused, and while
// something inside a section is selected or being typed.

"use strict";

(() => {
  const PERIOD = 5000;
  const LONGEST = 60000;
  const tip = document.querySelector("[data-tip-box]");
  const announcer = document.querySelector("[data-announcer]");
  const pause = document.querySelector("[data-pause]");
  let paused = false;
  let timer = 0;
  let misses = 0;
  let told = announcement(document);

  // What a section's markup was when the server made it: comparing with the live tree would see our own changes.
  const known = new Map();
  for (const section of document.querySelectorAll("[data-live]")) known.set(section.dataset.live, section.innerHTML);

  function announcement(root) {
    return [...root.querySelectorAll("[data-announce]")].map((each) => each.textContent.trim()).join(". ");
  }

  // A path that finds the focused element again in the section's next version.
  function place(element, section) {
    const steps = [];
    for (let node = element; node !== section; node = node.parentElement) {
      steps.unshift([...node.parentElement.children].indexOf(node));
    }
    return steps;
  }

  function exchange(section, fresh) {
    const active = document.activeElement;
    const path = section.contains(active) && active !== section ? place(active, section) : null;
    const open = [...section.querySelectorAll("details[open]")].map((each) => each.dataset.keep);
    section.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
    for (const each of section.querySelectorAll("details")) each.open = open.includes(each.dataset.keep);
    enhance(section);
    if (path) {
      let node = section;
      for (const step of path) node = node && node.children[step];
      if (node && node.focus) node.focus({ preventScroll: true });
    }
  }

  function apply(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    for (const fresh of page.querySelectorAll("[data-live]")) {
      const name = fresh.dataset.live;
      const section = document.querySelector(`[data-live="${CSS.escape(name)}"]`);
      if (!section || known.get(name) === fresh.innerHTML) continue;
      known.set(name, fresh.innerHTML);
      exchange(section, fresh);
    }
    const news = announcement(page);
    if (news !== told) announcer.textContent = told = news;
  }

  function busy() {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && selection.anchorNode && selection.anchorNode.parentElement
      && selection.anchorNode.parentElement.closest("[data-live]");
  }

  async function refresh() {
    timer = 0;
    if (paused || document.hidden) return;
    if (!busy()) {
      try {
        const reply = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store", signal: AbortSignal.timeout(8000) });
        apply(await reply.text());
        misses = 0;
      } catch {
        misses += 1;
        const line = "The daemon does not answer; these are its last figures";
        const age = document.querySelector('[data-live="age"]');
        if (age) age.textContent = line;
        known.delete("age");
        if (told !== line) announcer.textContent = told = line;
      }
    }
    later();
  }

  function later() {
    if (!timer && !paused && !document.hidden) {
      timer = setTimeout(refresh, Math.min(PERIOD * 2 ** Math.min(misses, 4), LONGEST));
    }
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    timer = 0;
    if (!document.hidden) refresh();
  });

  if (pause) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
      pause.textContent = paused ? "Updates paused" : "Pause updates";
      clearTimeout(timer);
      timer = 0;
      if (!paused) refresh();
    });
  }

  // Charts: the browser's own tooltips become one that follows the pointer and the arrow keys.

  function enhance(root) {
    for (const title of root.querySelectorAll(".chart title")) {
      title.parentElement.dataset.tip = title.textContent;
      title.remove();
    }
    for (const chart of root.querySelectorAll(".chart")) listen(chart);
  }

  function show(item, x, y) {
    hide();
    item.classList.add("on");
    tip.textContent = item.dataset.tip;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 12, innerWidth - box.width - 4))}px`;
    tip.style.top = `${Math.max(4, y - box.height - 10)}px`;
  }

  function hide() {
    tip.hidden = true;
    for (const item of document.querySelectorAll("[data-tip].on")) item.classList.remove("on");
  }

  function listen(chart) {
    let at = -1;
    const items = () => [...chart.querySelectorAll("[data-tip]")];
    chart.addEventListener("pointermove", (event) => {
      const item = event.target.closest("[data-tip]");
      if (item) show(item, event.clientX, event.clientY);
      else hide();
    });
    chart.addEventListener("pointerleave", hide);
    chart.addEventListener("blur", hide);
    chart.addEventListener("keydown", (event) => {
      const all = items();
      const last = all.length - 1;
      const steps = { ArrowRight: Math.min(at + 1, last), ArrowLeft: at < 0 ? last : Math.max(at - 1, 0), Home: 0, End: last };
      if (event.key === "Escape") hide();
      if (event.key === "Enter" && at >= 0 && all[at].closest("a")) location.assign(all[at].closest("a").getAttribute("href"));
      if (!(event.key in steps) || last < 0) return;
      event.preventDefault();
      at = steps[event.key];
      const box = all[at].getBoundingClientRect();
      show(all[at], box.left + box.width / 2, box.top + Math.min(box.height / 2, 40));
      chart.querySelector("output").textContent = all[at].dataset.tip;
    });
  }

  enhance(document);
  later();
})();
