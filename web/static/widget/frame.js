// The chat in its frame: asks over the public API, shows verified sentences as they come, and where each comes from.
// Whatever comes from the server or from the page around it is put on the page as text, never as HTML.

import { closeCard, fill, save, sentence } from "./answer.js";
import { SITE, Stopped, Trouble, ask, begin, current, gone, here, poll, remember } from "./api.js";
import { announce, button, by, make } from "./page.js";
import { askAdvisor, editProfile, stateOf } from "./panel.js";
import { known, language, speak, t } from "./words.js";

const MOST = 8000; // characters of a question, as the server has it
const LOOK_MS = 15_000; // how often to look whether an advisor has replied

const log = by("log"), text = by("text"), send = by("send"), stop = by("stop"), tools = by("tools"), welcome = by("welcome"), waiting = by("waiting");
const limit = by("limit");

let running = null; // AbortController of the question that is being answered
let etag = null, looking = null; // of the conversation, while an advisor is waited for
let shown = []; // ids of the answers and replies on the page
let isOpen = parent === window, unread = 0, early = false;

// One turn each

function addQuestion(question) {
  welcome.hidden = true;
  const edit = button(t("edit"), () => { put(question); }, { class: "edit", "aria-label": t("editQuestion") });
  const node = make("div", { class: "turn" }, make("p", { class: "asked", dir: "auto" }, question), edit);
  log.append(node);
  return node;
}

function addAnswer(question, advisor) {
  const said = make("div", { class: "said" }), status = make("p", { class: "status", role: "presentation" });
  const article = make("article", { class: `answer${advisor ? " reply" : ""}`, "aria-label": advisor ? t("advisorReply", { name: advisor }) : t("answer"), "aria-busy": "true", tabindex: "-1" },
    advisor ? make("p", { class: "by" }, t("advisorReply", { name: advisor })) : null, said, status);
  log.append(article);
  return {
    status(words) { status.textContent = words; },
    focus() { article.focus({ preventScroll: true }); },
    sentence(data) {
      let paragraph = said.lastElementChild;
      if (!paragraph) said.append(paragraph = make("p", { dir: "auto" }));
      paragraph.append(sentence(data));
      announce(data.sentence.text);
    },
    answer(answer) {
      status.remove();
      fill(article, said, answer);
      shown.push(answer.id);
      const more = next(answer);
      if (more) article.after(more);
      if (question) tell("answer", { id: answer.id, status: answer.status });
    },
    trouble(words, actions) {
      status.remove();
      article.setAttribute("aria-busy", "false");
      const box = make("div", { class: "trouble", role: "alert" }, make("p", {}, words),
        make("p", {}, actions.map(([key, act]) => button(t(key), () => { article.remove(); act(); }))));
      article.append(box);
      box.scrollIntoView({ block: "nearest" });
    },
  };
}

function next(answer) {
  const { clarify, handoff } = answer, options = clarify ? clarify.options : [];
  const offered = [...options, ...answer.suggestions].filter((words, i, all) => all.indexOf(words) === i);
  const human = handoff && handoff.state === "offered"
    ? button(t("advisor"), () => askAdvisor(handoff.reason, waitFor), { class: "suggestion human" }) : null;
  if (!offered.length && !human) return null;
  return make("div", { class: "next", role: "group", "aria-label": t("askNext") },
    clarify ? make("p", { class: "clarify", dir: "auto" }, clarify.question) : null,
    offered.map((words) => button(words, () => converse(words), { class: "suggestion", dir: "auto" })), human);
}

// Asking

function busy(on) {
  running = on;
  send.hidden = Boolean(on);
  stop.hidden = !on;
}

async function converse(question, isNew = true) {
  if (running || send.disabled) return;
  const control = new AbortController();
  busy(control);
  for (const old of log.querySelectorAll(".next")) old.remove();
  if (isNew) addQuestion(question).scrollIntoView({ block: "start" });
  const answer = addAnswer(question), again = ["tryAgain", () => converse(question, false)];
  if (document.activeElement !== text) answer.focus(); // what was pressed is gone
  answer.status(t("thinking"));
  tell("question");
  let failed = null;
  const on = {
    status: (data) => answer.status(data.text), sentence: answer.sentence, answer: answer.answer, dropped: () => answer.status(t("reconnecting")),
    error: (problem) => { failed = problem; },
  };
  const options = { language: language === "en" ? null : language, signal: control.signal, again: !isNew };
  try {
    await begin();
    try {
      await ask(question, options, on);
    } catch (error) {
      // The conversation is gone (forgotten elsewhere): the question is asked in a new one.
      if (!gone(error)) throw error;
      remember(null);
      await begin();
      await ask(question, options, on);
    }
    if (failed) answer.trouble(failed.detail || t("failed"), [again]);
  } catch (error) {
    if (error instanceof Stopped) answer.trouble(t("stopped"), [["showAnswer", () => fetchAnswer(question)], again]);
    else answer.trouble(error instanceof Trouble ? error.message || t("odd") : t("unreachable"), [again, ["editQuestion", () => put(question)]]);
  }
  if (document.activeElement === stop) answer.focus();
  busy(null);
  tools.hidden = !current();
}

/** The answer to a question that went on being answered after it was stopped. */
async function fetchAnswer(question) {
  const control = new AbortController();
  busy(control);
  const answer = addAnswer(question);
  answer.focus();
  answer.status(t("thinking"));
  try {
    await poll(question, control.signal, { answer: answer.answer, dropped() {} });
  } catch {
    answer.trouble(t("unanswered"), [["tryAgain", () => converse(question, false)]]);
  }
  busy(null);
}

// The conversation

function draw(stored, from = 0) {
  if (!from) log.replaceChildren(...(shown = []));
  stored.turns.forEach((turn, at) => {
    if (at < from) return;
    if (turn.role === "user") {
      addQuestion(turn.text);
      const later = stored.turns.slice(at + 1).some((other) => other.role !== "user");
      if (!later) addAnswer(turn.text).trouble(t("unanswered"), [["tryAgain", () => converse(turn.text, false)], ["showAnswer", () => fetchAnswer(turn.text)]]);
      return;
    }
    for (const old of log.querySelectorAll(".next")) old.remove();
    addAnswer("", turn.role === "advisor" ? turn.advisor : "").answer(turn.answer);
  });
  tools.hidden = false;
  welcome.hidden = stored.turns.length > 0;
  waitFor(stored.handoff, false);
}

/** Looks for an advisor's reply, or what another tab asked. */
async function look() {
  if (!current() || running) return;
  try {
    const response = await here("GET", "", undefined, { headers: etag ? { "If-None-Match": etag } : {} });
    if (response.status === 304 || running) return;
    etag = response.headers.get("ETag");
    const stored = await response.json();
    const ids = stored.turns.filter((turn) => turn.role !== "user").map((turn) => turn.answer.id);
    const fresh = ids.filter((ident) => !shown.includes(ident)).length;
    if (fresh || ids.length !== shown.length) {
      // What only grew is added to: words that are being written stay.
      const grew = shown.length && shown.every((ident, i) => ident === ids[i]) && !log.querySelector(".trouble");
      draw(stored, grew ? stored.turns.findIndex((turn) => turn.answer?.id === shown.at(-1)) + 1 : 0);
      log.lastElementChild?.scrollIntoView({ block: "nearest" });
      const replies = stored.turns.filter((turn) => turn.role === "advisor");
      if (fresh && replies.length) {
        announce(t("advisorAnswered"));
        if (!isOpen) tell("unread", { count: unread += fresh });
      }
    } else waitFor(stored.handoff, false);
  } catch (error) {
    if (gone(error)) clear();
  }
}

/** Shows where the wish for an advisor stands, and looks for a reply while one is to come. */
function waitFor(handoff, say = true) {
  const words = stateOf(handoff);
  waiting.hidden = !words;
  waiting.textContent = words;
  if (say && words) announce(words);
  clearInterval(looking);
  looking = handoff && ["requested", "assigned"].includes(handoff.state) ? setInterval(look, LOOK_MS) : null;
}

async function restore() {
  if (!current()) return;
  try {
    draw(await (await here("GET", "", undefined, { signal: AbortSignal.timeout(9000) })).json());
    [...log.querySelectorAll(".turn")].pop()?.scrollIntoView({ block: "start", behavior: "instant" });
  } catch (error) {
    if (gone(error)) remember(null);
    else {
      welcome.hidden = true;
      log.append(make("div", { class: "trouble", role: "alert" }, make("p", {}, t("historyUnreachable")),
        button(t("tryAgain"), () => { log.replaceChildren(); restore(); })));
    }
  }
}

function clear() {
  running?.abort();
  remember(null);
  closeCard();
  log.replaceChildren();
  shown = [];
  etag = null;
  waitFor(null);
  tools.hidden = true;
  welcome.hidden = false;
  announce("");
  text.focus();
}

async function forget() {
  if (!current()) return;
  running?.abort();
  try {
    await here("DELETE");
  } catch (error) {
    if (!(error instanceof Trouble) || error.problem.status !== 404) {
      log.append(make("p", { class: "notice", role: "alert" }, t("forgetFailed")));
      return;
    }
  }
  clear();
  announce(t("forgotten"));
}

async function download() {
  try { await save(); } catch (error) { announce(error.message || t("unreachable")); }
}

for (const [id, act] of Object.entries({ new: clear, forget, download, profile: editProfile })) {
  by(id).addEventListener("click", () => {
    by("menu").querySelector("summary").focus();
    by("menu").removeAttribute("open");
    act();
  });
}
by("advisor").addEventListener("click", () => askAdvisor("", waitFor));
stop.addEventListener("click", () => { running?.abort(); text.focus(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden && shown.length) look(); });
document.addEventListener("pointerdown", (event) => { if (!by("menu").contains(event.target)) by("menu").removeAttribute("open"); });
by("menu").addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !by("menu").open) return;
  by("menu").removeAttribute("open");
  by("menu").querySelector("summary").focus();
  event.preventDefault();
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !event.defaultPrevented && !by("panel").open) tell("close"); });

// The box

function fit() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
  const { length } = [...text.value.trim()]; // as the server counts: an emoji is one
  limit.hidden = length <= MOST;
  if (length > MOST) limit.textContent = t("tooLong", { n: length.toLocaleString(language), most: MOST.toLocaleString(language) });
}

function put(question) {
  text.value = question;
  fit();
  text.focus();
}

by("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = text.value.trim();
  early = send.disabled;
  if (!question || running || early) return;
  if (!limit.hidden) return text.focus(); // what is too long stays in the box
  text.value = "";
  fit();
  converse(question);
});
text.addEventListener("input", fit);
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    by("composer").requestSubmit();
  }
});
for (const example of document.querySelectorAll(".example")) example.addEventListener("click", () => converse(example.textContent));

// The page around the frame: it chooses looks and language, and may put a question into the box. Only the person sends.

function tell(type, more) {
  if (parent !== window) parent.postMessage({ imgAdvisor: 1, type, ...more }, SITE || location.origin);
}

async function looks(options) {
  const { lang, theme, accent, greeting, inline } = options, root = document.documentElement;
  root.dataset.theme = /^(light|dark)$/.test(theme) ? theme : "auto";
  const own = /^#([0-9a-f]{3}){1,2}$/i.test(accent) ? accent : "";
  root.style.setProperty("--site-accent", own);
  root.classList.toggle("accented", Boolean(own));
  by("close").hidden = Boolean(inline) || parent === window;
  if (lang && known(lang) !== language) await speak(lang);
  if (typeof greeting === "string" && greeting) welcome.querySelector("h2").textContent = greeting;
}

function opened() {
  isOpen = true;
  unread = 0;
  text.focus();
}

const ORDERS = {
  init({ options, open }) {
    isOpen = Boolean(open) || Boolean(options?.inline);
    if (options) looks(options);
    if (open) text.focus();
  },
  options({ options }) { if (options) looks(options); },
  open: opened,
  close() { isOpen = false; },
  ask({ text: question }) { if (typeof question === "string") put(question.slice(0, MOST)); },
  reset: clear,
};

addEventListener("message", ({ source, origin, data }) => {
  if (parent === window || source !== parent || origin !== (SITE || location.origin) || data?.imgAdvisor !== 1) return;
  if (Object.hasOwn(ORDERS, data.type)) ORDERS[data.type](data);
});
by("close").addEventListener("click", () => tell("close")); // shown when a loader says hello, who alone can close the chat

await speak(document.documentElement.lang);
document.documentElement.dataset.ready = "";
tell("ready");
await restore();
send.disabled = false; // until here words are kept in the box: the history would be drawn over them
if (early) by("composer").requestSubmit();
const asked = new URLSearchParams(location.search).get("ask");
if (asked) put(asked.slice(0, MOST));
