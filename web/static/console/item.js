// The page of an item with a script: what is typed is saved and checked as one types, and nothing of it is ever lost.
import { Keeper } from "./item-keep.js";
import { paint, listFindings, listSources, sayVerdict } from "./item-marks.js";
import { showFound } from "./item-found.js";

const desk = document.getElementById("desk");
const editor = document.getElementById("editor");
const text = document.getElementById("text");
const path = desk.dataset.path;

// Requests. A session that ended is asked for again; the page stays as it is.

let token = document.querySelector('meta[name="csrf"]').content;

/** Raises an error with `status` and `body` when the answer is no; `status` 0: the server was not reached. */
export async function ask(to, form) {
  const send = () => fetch(path + to, {
    method: form ? "POST" : "GET", body: form, headers: { Accept: "application/json", ...(form && { "X-CSRF-Token": token }) },
  });
  let response;
  try {
    response = await send();
    if (response.status === 403 && form && (await renew())) response = await send();
  } catch {
    throw Object.assign(new Error("not reached"), { status: 0 });
  }
  const body = response.status === 204 ? {} : await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(body.detail ?? ""), { status: response.status, body });
  return body;
}

/** Somebody signed in again, here or in another tab: the token is another one. */
async function renew() {
  try {
    const response = await fetch("/console/session", { headers: { Accept: "application/json" } });
    if (!response.ok) return false;
    const session = await response.json();
    if (session.account !== desk.dataset.me) return false; // somebody else's hands: nothing goes under their name
    token = session.csrf;
    for (const field of document.querySelectorAll('input[name="csrf"]')) field.value = token;
    return true;
  } catch {
    return false;
  }
}

function typed() {
  const form = new URLSearchParams();
  for (const name of ["draft", "base"]) form.set(name, editor.elements[name].value);
  form.set("text", text.value);
  return form;
}

if (editor) {
  const keeper = new Keeper({ desk, editor, text, ask, renew, typed });

  // The check, a moment after the last key
  let checking = null;
  let timer = 0;
  let findings = [];
  let checked = text.value; // what the places of the findings are places in

  async function check() {
    const now = text.value;
    checking?.abort();
    const mine = (checking = new AbortController());
    try {
      const found = await ask("/check", typed());
      if (mine.signal.aborted || now !== text.value) return;
      findings = Object.assign(found.findings, { sentences: found.sources });
      checked = now;
      paint(text.value, findings);
      listFindings(findings, { text, replace });
      listSources(found.sources);
      sayVerdict(findings, text.value);
      const own = found.sources.some((each) => each.kind === "own");
      document.getElementById("own-check").toggleAttribute("data-idle", !own);
    } catch (error) {
      // Anything else is said beside the text by the keeper, if it stays.
      if (error.status === 422) sayVerdict([], now, error.message);
    }
  }

  function changed() {
    grow();
    findings = moved(checked, text.value, findings);
    checked = text.value;
    paint(text.value, findings);
    keeper.changed();
    clearTimeout(timer);
    timer = setTimeout(check, 600);
  }

  function grow() {
    if (CSS.supports("field-sizing: content")) return;
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight}px`;
  }

  text.addEventListener("input", changed);
  document.getElementById("check").addEventListener("click", (event) => {
    event.preventDefault();
    check();
  });
  document.getElementById("save").addEventListener("click", (event) => {
    event.preventDefault();
    keeper.save();
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
      event.preventDefault();
      keeper.save();
    }
  });
  // A form that leaves the page saves by itself; it must not meet a save that is still under way.
  let leaving = false;
  editor.addEventListener("submit", async (event) => {
    if (leaving || event.defaultPrevented) return;
    event.preventDefault();
    const button = event.submitter;
    await keeper.settle();
    await new Promise((done) => { setTimeout(done); }); // a form cannot be submitted anew while its submit event is under way
    if (keeper.stopped) return;
    leaving = true;
    keeper.leave();
    editor.requestSubmit(button);
  });

  // Putting pieces in, where the cursor is
  let place = text.value.length;
  let touched = false;
  for (const name of ["keyup", "click", "input", "select"]) {
    text.addEventListener(name, () => { place = text.selectionStart; touched = true; });
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-insert]");
    if (!button) return;
    event.preventDefault();
    if (!touched) place = beforeSignOff(text.value);
    const before = text.value.slice(0, place);
    const after = text.value.slice(place);
    const piece = (/\S$/.test(before) ? " " : "") + button.dataset.insert + (/^\S/.test(after) ? " " : "");
    text.focus();
    text.setSelectionRange(place, place);
    put(piece);
    place = before.length + piece.length;
  });

  /** Through the browser's own editing, so that Ctrl+Z takes it back. */
  function put(piece) {
    if (!document.execCommand("insertText", false, piece)) {
      text.setRangeText(piece, text.selectionStart, text.selectionEnd, "end");
      changed();
    }
  }

  function replace(start, end, piece) {
    text.focus();
    text.setSelectionRange(start, end);
    put(piece);
  }

  grow();
  document.getElementById("editor").elements.base.value = desk.dataset.version;
  text.value === "" ? keeper.begin() : (keeper.begin(), check());
}

/** The findings that an edit left alone, in their new places: the others are looked at anew in a moment. */
function moved(old, now, findings) {
  let head = 0;
  while (head < Math.min(old.length, now.length) && old[head] === now[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(old.length, now.length) - head && old.at(-1 - tail) === now.at(-1 - tail)) tail += 1;
  const by = now.length - old.length;
  return findings.flatMap((f) => {
    if (f.end < head) return [f];
    return f.start >= old.length - tail ? [{ ...f, start: f.start + by, end: f.end + by }] : [];
  });
}

const talk = document.querySelector(".talk");
talk.scrollTop = talk.scrollHeight;

function beforeSignOff(letter) {
  const at = letter.lastIndexOf("\n\n");
  return at > 0 ? at : letter.length;
}

// Looking up without leaving the page

const search = document.getElementById("look-up");
search.addEventListener("submit", async (event) => {
  event.preventDefault();
  const found = document.getElementById("found");
  found.setAttribute("aria-busy", "true");
  try {
    showFound(found, await ask(`/evidence?q=${encodeURIComponent(search.elements.q.value)}`), Boolean(editor));
  } catch {
    search.submit();
  } finally {
    found.removeAttribute("aria-busy");
  }
});

// Who else is here, and what they did

async function look() {
  if (document.hidden) return;
  let now;
  try {
    now = await ask("/live");
  } catch {
    return;
  }
  const here = document.getElementById("here");
  const said = now.here.length ? `${now.here.join(", ")} ${now.here.length === 1 ? "is" : "are"} here, too` : "";
  if (here.textContent !== said) here.textContent = said;
  here.hidden = !said;
  document.getElementById("again").hidden = !(now.again || now.latest > Number(desk.dataset.latest));
  const seen = document.getElementById("seen-check");
  if (seen && now.again) {
    seen.hidden = false;
    seen.querySelector("input").value = now.latest;
  }
  const base = editor ? Number(editor.elements.base.value) : Number(desk.dataset.version);
  document.getElementById("moved").hidden = now.draft === desk.dataset.draft && now.version <= base && now.state !== "sent";
}
setInterval(look, 8000);
document.addEventListener("visibilitychange", look);
window.addEventListener("pagehide", () => {
  navigator.sendBeacon?.(`${path}/leave`, new URLSearchParams({ csrf: token }));
});
