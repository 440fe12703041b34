// Follows what happens: on every event the page is asked for again and its content replaced.
// Without this script the page is the same, only still.
(() => {
  "use strict";
  const address = document.body.dataset.events;
  const live = document.getElementById("live");
  if (!address || !window.EventSource) return;

  let asking = false, again = false, timer = 0;

  async function refresh() {
    if (asking) { again = true; return; }
    asking = true;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "manual" });
      if (answer.ok) swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
      else if (answer.type === "opaqueredirect") location.reload();
    } catch { /* the stream says when the daemon is back */ }
    asking = false;
    if (again) { again = false; soon(); }
  }

  function swap(page) {
    const focused = document.activeElement && document.activeElement.id;
    const typed = [...document.querySelectorAll("input[id], select[id]")].map((one) => [one.id, one.value]);
    const open = [...document.querySelectorAll("details[open]")].map((one) => one.id);
    const log = document.getElementById("log");
    const atEnd = !log || log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    const offset = log ? log.scrollTop : 0;
    for (const selector of ["main", "header"]) {
      const [old, fresh] = [document.querySelector(selector), page.querySelector(selector)];
      if (old && fresh) old.replaceWith(document.adoptNode(fresh));
    }
    document.title = page.title;
    for (const [id, value] of typed) { const one = document.getElementById(id); if (one) one.value = value; }
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    const next = document.getElementById("log");
    if (next) next.scrollTop = atEnd ? next.scrollHeight : offset;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    if (!page.body.dataset.events) { stream.close(); say("ended"); }
  }

  // At most once a second, and not while nobody looks.
  function soon() {
    if (timer) return;
    timer = setTimeout(() => { timer = 0; if (!document.hidden) refresh(); else again = true; }, 1000);
  }

  function say(text) { if (live) live.textContent = text; }

  const stream = new EventSource(address);
  for (const kind of ["run", "progress", "log", "fleet"]) stream.addEventListener(kind, soon);
  stream.addEventListener("open", () => { say("● live"); soon(); });
  stream.addEventListener("error", () => say("○ not connected, trying again"));
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
  setInterval(soon, 30000);
  const log = document.getElementById("log");
  if (log) log.scrollTop = log.scrollHeight;
})();
