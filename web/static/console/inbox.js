// The inbox without reloading: what changed elsewhere appears in place, and all can be done by keyboard.
"use strict";

const queue = document.querySelector("#queue");
const told = document.querySelector("#told");
document.querySelector(".view[aria-current]")?.scrollIntoView({ inline: "center", block: "nearest", behavior: "instant" });
const links = () => [...queue.querySelectorAll("[data-open]")];

// Live ---------------------------------------------------------------------------------------------------------------

let newest = null;
let fetching = false;

document.addEventListener("console:pulse", (event) => {
  newest = event.detail;
  for (const place of document.querySelectorAll("[data-count]")) place.textContent = newest[place.dataset.count];
  showHere();
  refresh();
});

function showHere() {
  for (const row of queue.querySelectorAll("[data-id]")) {
    const place = row.querySelector("[data-here]"), others = newest?.here[row.dataset.id] ?? [];
    place.lastElementChild.textContent = others.join(", ");
    place.hidden = !others.length;
  }
}

// The same page again, as a document: XMLHttpRequest parses it without a script ever seeing markup as text.
function fetchPage() {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", location.href);
    request.responseType = "document";
    request.setRequestHeader("Accept", "text/html");
    request.addEventListener("load", () => { request.status === 200 && request.response ? resolve(request.response) : reject(new Error()); });
    request.addEventListener("error", () => reject(new Error()));
    request.send();
  });
}

async function refresh() {
  if (fetching || !newest || newest.mark === queue.dataset.mark || queue.querySelector(".menu[open]")) return;
  fetching = true;
  try {
    const fresh = (await fetchPage()).querySelector("#queue");
    if (fresh && !queue.querySelector(".menu[open]")) put(document.adoptNode(fresh));
  } catch { /* the next pulse tries again */ } finally {
    fetching = false;
  }
}

const plain = (row) => row.outerHTML.replaceAll(/<time[^>]*data-waits[^>]*>[^<]*|name="csrf" value="[^"]*"|<span class="here".*?<\/span><\/span>| fresh"/gs, "");

function put(fresh) {
  const focused = document.activeElement?.closest("[data-id]");
  const place = focused && { id: focused.dataset.id, index: [...queue.querySelectorAll("[data-id]")].indexOf(focused) };
  const anchor = focused ?? firstInSight();
  const top = anchor?.getBoundingClientRect().top;
  const old = new Map([...queue.querySelectorAll("[data-id]")].map((row) => [row.dataset.id, row]));
  let arrived = 0;
  for (const row of fresh.querySelectorAll("[data-id]")) {
    const before = old.get(row.dataset.id);
    if (before && plain(before) === plain(row)) row.replaceWith(before); // the very same: keeps its focus and selection
    else row.classList.add("fresh");
    if (!before) arrived += 1;
  }
  queue.dataset.mark = fresh.dataset.mark;
  queue.replaceChildren(...fresh.childNodes);
  if (place && !queue.contains(document.activeElement)) {
    const same = queue.querySelector(`[data-id="${CSS.escape(place.id)}"] [data-open]`);
    (same ?? links()[Math.min(place.index, links().length - 1)] ?? document.querySelector("main")).focus({ preventScroll: true });
  }
  const stays = anchor && queue.querySelector(`[data-id="${CSS.escape(anchor.dataset.id)}"]`);
  if (stays) window.scrollBy({ top: stays.getBoundingClientRect().top - top, behavior: "instant" });
  if (arrived) told.textContent = arrived === 1 ? "One item came in." : `${arrived} items came in.`;
  showHere();
}

function firstInSight() {
  return [...queue.querySelectorAll("[data-id]")].find((row) => row.getBoundingClientRect().bottom > 0);
}

// Waiting times go on while one looks.
function sayWaits() {
  for (const time of queue.querySelectorAll("[data-waits]")) {
    const minutes = Math.max(0, Math.floor((Date.now() - Date.parse(time.dateTime)) / 60_000)), hours = Math.floor(minutes / 60);
    const words = minutes < 60 ? `${minutes} min` : hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
    if (time.textContent !== words) time.textContent = words;
  }
}
setInterval(sayWaits, 30_000);

// Menus: one at a time; Escape closes, and what came in meanwhile appears then.
queue.addEventListener("toggle", (event) => {
  if (!event.target.matches?.(".menu")) return;
  if (event.target.open) for (const menu of queue.querySelectorAll(".menu[open]")) { if (menu !== event.target) menu.open = false; }
  else refresh();
}, true);
document.addEventListener("click", (event) => {
  for (const menu of queue.querySelectorAll(".menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

// What an advisor does with an item is done in place, so that neither focus nor scroll is lost. Where anything is out of the ordinary
// (signed out, another page in the answer), the form is sent as it would be without this script.
const said = document.querySelector("#said");
let quiet = 0;

function say(words) {
  said.textContent = words;
  said.hidden = !words;
  clearTimeout(quiet);
  quiet = setTimeout(() => { said.hidden = true; }, 9_000);
}

queue.addEventListener("submit", (event) => {
  const form = event.target, button = event.submitter;
  if (event.defaultPrevented || !form.matches(".act")) return;
  event.preventDefault();
  const data = new URLSearchParams(new FormData(form, button));
  const request = new XMLHttpRequest();
  request.open("POST", button?.getAttribute("formaction") ?? form.action);
  request.responseType = "document";
  request.setRequestHeader("Accept", "text/html");
  request.addEventListener("load", () => {
    const fresh = request.status === 200 && request.response?.querySelector("#queue");
    if (!fresh) { location.reload(); return; }
    const words = request.response.querySelector("main > .notice")?.textContent ?? "";
    for (const menu of queue.querySelectorAll(".menu[open]")) menu.open = false;
    form.closest("[data-id]").querySelector("[data-open]").focus({ preventScroll: true });
    put(document.adoptNode(fresh));
    say(words);
  });
  request.addEventListener("error", () => say("The server does not answer. Nothing was changed; try again in a moment."));
  request.send(data);
});

// Keys ---------------------------------------------------------------------------------------------------------------

const dialog = document.querySelector("#keys");
const useKeys = document.querySelector("#use-keys");
const KEEP = "img-advisor-console-keys";
useKeys.checked = localStorage.getItem(KEEP) !== "off";
useKeys.addEventListener("change", () => { localStorage.setItem(KEEP, useKeys.checked ? "on" : "off"); });
const opener = document.querySelector("#show-keys");
opener.hidden = false;
opener.addEventListener("click", () => dialog.showModal());

function go(step) {
  const all = links(), at = all.indexOf(document.activeElement?.closest("[data-id]")?.querySelector("[data-open]"));
  const next = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1)];
  next?.focus();
  next?.closest("[data-id]").scrollIntoView({ block: "nearest" });
}

const KEYS = {
  j: () => go(1),
  k: () => go(-1),
  c: (row) => row?.querySelector("[data-claim]")?.click(),
  u: (row) => row?.querySelector("[data-unread]")?.click(),
  m: (row) => {
    const menu = row?.querySelector(".menu");
    if (!menu) return;
    menu.open = true;
    menu.querySelector("select, button")?.focus();
  },
  "/": () => document.querySelector("#q").focus(),
  "?": () => dialog.showModal(),
};

document.addEventListener("keydown", (event) => {
  const menu = event.target.closest?.(".menu[open]");
  if (event.key === "Escape" && menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
    return;
  }
  if (!useKeys.checked || event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
  if (event.target.closest?.("input, textarea, select, [contenteditable]")) {
    if (event.key === "Escape" && event.target.id === "q") event.target.blur();
    return;
  }
  const work = KEYS[event.key];
  if (!work) return;
  event.preventDefault();
  work(event.target.closest?.("[data-id]"));
});
