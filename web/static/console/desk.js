// The knowledge desk: problems as one types, nothing typed lost, the index's progress, an answer at once. All of it works without, a page at a time.
"use strict";

const token = document.querySelector('meta[name="csrf"]')?.content ?? "";

function made(name, text = "", attributes = {}) {
  const node = document.createElement(name);
  node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

async function send(path, fields) {
  return fetch(path, { method: "POST", headers: { Accept: "application/json", "X-CSRF-Token": token }, body: new URLSearchParams(fields) });
}

// The index -------------------------------------------------------------------------------------------------------------

const run = document.querySelector("#run");
async function follow() {
  if (!run || run.dataset.state !== "running") return;
  try {
    const now = await (await fetch("/console/knowledge/run", { headers: { Accept: "application/json" } })).json();
    run.dataset.state = now.state;
    const said = run.querySelector("span"), bar = run.querySelector("progress");
    if (now.state === "running") {
      const text = `The index is being brought up to date: ${now.what}${now.total ? ` ${now.done} of ${now.total}` : ""}…`;
      if (said.textContent !== text) said.textContent = text;
      if (now.total) { bar.max = now.total; bar.value = now.done; }
    } else {
      bar.hidden = true;
      run.classList.toggle("bad", now.state === "failed");
      said.textContent = now.state === "done" ? `The index is up to date. ${now.outcome}` : `The index could not be brought up to date: ${now.outcome}`;
    }
  } catch { /* the connection is away: again in a moment */ }
  setTimeout(follow, 700);
}
follow();

// The whole folder is being checked: once more in a moment
if (document.querySelector("[data-again]")) setTimeout(() => location.reload(), 5000);

// An answer at once -------------------------------------------------------------------------------------------------------

for (const form of document.querySelectorAll("[data-ask]")) {
  const shown = form.parentElement.querySelector(".answered");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(form));
    shown.setAttribute("aria-busy", "true");
    try {
      const response = await send(form.action, fields);
      const { answer, problem, cites_file: cites, in_guide: inGuide } = await response.json();
      shown.replaceChildren();
      if (!answer) {
        shown.append(made("p", problem || "No answer came. Load the page again.", { class: "notice bad" }));
      } else {
        const line = made("p");
        line.append(made("span", answer.status.replaceAll("_", " "), { class: `badge ${answer.status === "answered" ? "ok" : "warn"}` }));
        if (inGuide) line.append(" ", made("span", cites ? "from this guide" : "not from this guide", { class: `badge ${cites ? "ok" : ""}` }));
        const list = made("ol", "", { class: "near small" });
        for (const citation of answer.citations) {
          const item = made("li", `[${citation.n}] `);
          if (citation.guide) item.append(made("a", citation.guide.title, { href: citation.guide.url }), " ");
          item.append(made("q", citation.quote));
          list.append(item);
        }
        shown.append(line, made("p", answer.text, { class: "excerpt", dir: "auto", tabindex: "0" }), list);
      }
    } catch {
      form.submit(); // the page that works without a script says what is wrong
    }
    shown.removeAttribute("aria-busy");
  });
}

// The editor --------------------------------------------------------------------------------------------------------------

const form = document.querySelector("#edit");
if (form) {
  const text = form.elements.text, state = document.querySelector("#typed"), kept = document.querySelector("#kept");
  const key = `desk ${form.dataset.file}`, first = text.defaultValue;

  function go(number) {
    const rows = text.value.split("\n"), start = rows.slice(0, number - 1).reduce((sum, row) => sum + row.length + 1, 0);
    text.focus();
    text.setSelectionRange(start, start + (rows[number - 1] ?? "").length);
    text.scrollTop = Math.max(0, (number - 4) * parseFloat(getComputedStyle(text).lineHeight));
  }
  if (Number(form.dataset.line)) go(Number(form.dataset.line));
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-line]");
    if (!link) return;
    event.preventDefault();
    go(Number(link.dataset.line));
  });

  // What was typed stays in this browser until it is saved
  const store = { get: () => { try { return localStorage.getItem(key); } catch { return null; } },
    set: (value) => { try { value === null ? localStorage.removeItem(key) : localStorage.setItem(key, value); } catch { /* full, or not allowed */ } } };
  const before = store.get();
  if (before !== null && before !== text.value && kept && !text.readOnly) {
    kept.hidden = false;
    kept.querySelector("[data-take]").addEventListener("click", () => { text.value = before; kept.hidden = true; changed(); });
    kept.querySelector("[data-drop]").addEventListener("click", () => { store.set(null); kept.hidden = true; });
  }

  let timer = 0, turn = 0, leaving = false;
  function changed() {
    store.set(text.value === first ? null : text.value);
    if (state) state.textContent = text.value === first ? "" : "Not saved yet";
    clearTimeout(timer);
    timer = setTimeout(look, 700);
  }
  async function look() {
    const mine = ++turn;
    let found;
    try {
      const response = await send("/console/knowledge/check", { file: form.dataset.file, text: text.value });
      if (!response.ok) {
        if (state && response.status === 401) state.textContent = "You are signed out. What you typed is kept; sign in in another tab.";
        return;
      }
      found = await response.json();
    } catch { return; }
    if (mine !== turn) return;
    const list = document.querySelector("#findings"), count = document.querySelector("#count");
    const top = list.scrollTop;
    list.replaceChildren(...found.map((one) => {
      const item = made("li", "", { class: one.severity });
      item.append(one.line ? made("a", `Line ${one.line}`, { href: "#text", "data-line": one.line }) : made("span", "The file", { class: "muted" }),
        " ", made("strong", one.title), " ", made("span", one.message, { class: "small said-of" }), " ", made("span", one.advice, { class: "muted small" }));
      return item;
    }));
    if (!found.length) list.append(made("li", "Sources, dates, marks, links and length are in order.", { class: "muted" }));
    list.scrollTop = top;
    count.textContent = found.length || "in order";
    count.className = `badge ${found.some((one) => one.severity === "error") ? "bad" : found.length ? "warn" : "ok"}`;
  }
  text.addEventListener("input", changed);
  form.addEventListener("submit", () => { leaving = true; });
  addEventListener("beforeunload", (event) => { if (!leaving && text.value !== first) event.preventDefault(); });
  addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "s" && !text.readOnly) { event.preventDefault(); form.requestSubmit(form.querySelector('[value="save"]')); }
  });
  // Shown after a save: what is kept is what the file holds
  if (document.querySelector(".notice[role=status]")?.textContent.startsWith("Saved")) store.set(null);
}

// A fact under a new id
for (const entry of document.querySelectorAll("[data-entry]")) {
  const id = entry.querySelector("[data-id]");
  entry.querySelector("button").disabled = false;
  entry.addEventListener("submit", () => { entry.elements.file.value = `facts.yaml#${id.value.trim()}`; });
}
