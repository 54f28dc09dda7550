// Keeps the status page current: asks for it again every few seconds, and takes over what differs. How things look is known to the server
// alone; this only moves nodes. What a keyboard or a screen reader is at stays where it is.
"use strict";
(() => {
  const PERIOD_MS = 5000, DEADLINE_MS = 10000, TYPING_MS = 250, NEWS = 5;
  const byId = (id) => document.getElementById(id);
  const live = byId("live"), pause = byId("pause"), news = byId("news");
  let timer = 0, request = null, paused = false;

  // ---- taking over what differs ----

  const keyOf = (node) => (node.dataset && node.dataset.key) || node.id || "";
  const isSame = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

  function takeAttributes(old, fresh) {
    for (const name of old.getAttributeNames())
      if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes)
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }

  // Children with a key are found again wherever they are now, the others by their place.
  function takeChildren(old, fresh) {
    const wantedKeys = new Set(Array.from(fresh.children, keyOf));
    const known = new Map();
    for (const child of Array.from(old.children)) {
      const key = keyOf(child);
      if (key && !wantedKeys.has(key)) child.remove();
      else if (key) known.set(key, child);
    }
    let at = old.firstChild;
    for (const wanted of fresh.childNodes) {
      const same = known.get(keyOf(wanted));
      if (same && same !== at) {
        old.insertBefore(same, at);
        at = same;
      }
      if (at && isSame(at, wanted)) {
        take(at, wanted);
        at = at.nextSibling;
      } else {
        old.insertBefore(document.importNode(wanted, true), at);
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  // What somebody has typed stays: a field that was touched no longer follows its attribute.
  function take(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.nodeValue = fresh.nodeValue;
      return;
    }
    takeAttributes(old, fresh);
    takeChildren(old, fresh);
  }

  // ---- saying what changed ----

  function statesOf(main) {
    const states = new Map();
    for (const rows of main.querySelectorAll("[data-key]")) {
      const state = rows.querySelector(".state");
      if (state) states.set(rows.dataset.key, state.textContent);
    }
    return states;
  }

  function tellChanges(before, after) {
    const changes = [];
    for (const [key, state] of after)
      if (before.has(key) && before.get(key) !== state) changes.push(`${key}: ${state}, was ${before.get(key)}`);
    if (changes.length === 0) return;
    const more = changes.length > NEWS ? `; and ${changes.length - NEWS} more` : "";
    news.textContent = `${clock()} ${changes.slice(0, NEWS).join("; ")}${more}`;
  }

  const clock = () => new Date().toLocaleTimeString();

  // ---- asking ----

  function setLive(good, text) {
    live.className = good ? "state good" : "state bad";
    if (live.textContent !== text) live.textContent = text;
  }

  function onAnswer(answer) {
    const main = byId("main"), fresh = answer && answer.getElementById("main");
    if (!fresh) {
      onFailure();
      return;
    }
    const before = statesOf(main);
    take(main, fresh);
    tellChanges(before, statesOf(main));
    live.dataset.since = "";
    setLive(true, "live");
  }

  function onFailure() {
    if (!live.dataset.since) {
      live.dataset.since = clock();
      news.textContent = `${clock()} the agent does not answer`;
    }
    setLive(false, `no answer from the agent since ${live.dataset.since}; this is what it said before`);
  }

  function ask() {
    clearTimeout(timer);
    if (request) request.abort();
    // Not fetch(): a document that is asked for is parsed without a script running, and without text becoming markup here.
    const asked = request = new XMLHttpRequest();
    asked.open("GET", location.pathname + location.search);
    asked.responseType = "document";
    asked.timeout = DEADLINE_MS;
    asked.onload = () => (asked.status === 200 ? onAnswer(asked.response) : onFailure());
    asked.onerror = asked.ontimeout = onFailure;
    asked.onloadend = () => {
      if (request !== asked) return; // another question took its place
      request = null;
      askLater();
    };
    asked.send();
  }

  function askLater() {
    clearTimeout(timer);
    if (!paused && !document.hidden) timer = setTimeout(ask, PERIOD_MS);
  }

  // ---- what people do ----

  function onPause() {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    if (paused) {
      clearTimeout(timer);
      live.className = "soft";
      live.textContent = `paused at ${clock()}`;
    } else {
      ask();
    }
  }

  // The address follows what is searched for, so that it can be passed on, and so that Back leaves the page.
  function search(form) {
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form))
      if (value !== "") query.append(name, value);
    history.replaceState(null, "", query.toString() ? `?${query}` : location.pathname);
    ask();
  }

  let typing = 0;
  function onSearch(event) {
    const form = event.target.closest("#search");
    if (!form) return;
    event.preventDefault();
    clearTimeout(typing);
    typing = setTimeout(search, event.type === "input" ? TYPING_MS : 0, form);
  }

  document.addEventListener("input", onSearch);
  document.addEventListener("submit", onSearch);
  document.addEventListener("visibilitychange", () => (document.hidden || paused ? clearTimeout(timer) : ask()));
  pause.addEventListener("click", onPause);
  pause.hidden = false;
  setLive(true, "live");
  askLater();
})();
