// The chat page: asks over the public API, shows verified sentences as they come, and where each comes from.
// Whatever comes from the server is put on the page as text, never as HTML.
"use strict";

const API = "/api/v1";
const KEY = "img-advisor-conversation";
const RECONNECTS = 4;

const by = (id) => document.getElementById(id);
const log = by("log"), text = by("text"), send = by("send"), announce = by("announce"), tools = by("tools"), welcome = by("welcome");

let conversation = recall(); // {id, token}, kept for this tab only
let busy = false;

// Small tools

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

function recall() {
  try { return JSON.parse(sessionStorage.getItem(KEY)); } catch { return null; }
}

function remember(value) {
  conversation = value;
  try {
    if (value) sessionStorage.setItem(KEY, JSON.stringify(value));
    else sessionStorage.removeItem(KEY);
  } catch { /* storage is blocked: the conversation lasts as long as the page */ }
}

const MONTHS = "January February March April May June July August September October November December".split(" ");

function sayDate(date) {
  const [year, month, day] = String(date).split("-");
  return month && MONTHS[month - 1] ? `${day ? Number(day) + " " : ""}${MONTHS[month - 1]} ${year}` : year;
}

function webAddress(url) {
  return typeof url === "string" && /^https?:\/\/[^\s/]/i.test(url) ? url : null;
}

function passageUrl(url, quote) {
  const [path, anchor] = url.split("#");
  return `${path}?quote=${encodeURIComponent(quote)}${anchor ? "#" + anchor : ""}`;
}

// The API

class Trouble extends Error {
  constructor(problem) { super(problem.detail || "Something went wrong."); this.problem = problem; }
}

class Dropped extends Error {}

async function call(method, path, body, headers = {}) {
  let response;
  try {
    response = await fetch(API + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(conversation ? { Authorization: `Bearer ${conversation.token}` } : {}),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Dropped();
  }
  if (response.ok) return response;
  let problem = {};
  try { problem = await response.json(); } catch { /* a proxy's page */ }
  if (!problem.detail) problem = { status: response.status, detail: "The server did not answer as expected. Please try again in a moment." };
  throw new Trouble(problem);
}

async function begin() {
  if (!conversation) remember(await (await call("POST", "/conversations")).json());
  tools.hidden = false;
}

/** Asks, and calls on[event](data) for each event. A connection that drops is taken up again where it was. */
async function ask(question, on) {
  let lastId = null, tries = 0;
  for (;;) {
    try {
      const response = await call("POST", `/conversations/${conversation.id}/messages`, { text: question },
        { Accept: "text/event-stream", ...(lastId ? { "Last-Event-ID": lastId } : {}) });
      for await (const event of events(response.body)) {
        tries = 0;
        lastId = event.id || lastId;
        if (on[event.name]) on[event.name](JSON.parse(event.data));
        if (event.name === "answer" || event.name === "error") return;
      }
      throw new Dropped();
    } catch (error) {
      if (!(error instanceof Dropped) || !lastId || tries >= RECONNECTS) throw error;
      on.status({ text: "The connection dropped. Taking it up again …" });
      await new Promise((done) => setTimeout(done, 500 * 2 ** tries++));
    }
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let part;
    try { part = await reader.read(); } catch { throw new Dropped(); }
    if (part.done) return;
    const blocks = (rest + part.value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = { id: "", name: "message", data: "" };
      for (const line of block.split("\n")) {
        if (line.startsWith("id: ")) event.id = line.slice(4);
        else if (line.startsWith("event: ")) event.name = line.slice(7);
        else if (line.startsWith("data: ")) event.data += line.slice(6);
      }
      if (event.data) yield event;
    }
  }
}

// An answer on the page

function chip(n, citations) {
  const citation = citations.find((item) => item.n === n);
  if (!citation) return null;
  const button = make("button", { type: "button", class: "chip", "aria-expanded": "false", "aria-label": `Source ${n}` }, String(n));
  button.addEventListener("click", () => toggleCard(button, citation));
  return button;
}

/** Adds a chip so that it stays on the line of the word before it. */
function addChip(nodes, node) {
  const last = nodes.at(-1);
  if (node === null) return nodes;
  if (last instanceof Element && last.className === "together") last.append(node);
  else if (typeof last === "string" && last.trim()) {
    const word = last.trimEnd().split(/\s/).at(-1).slice(-24), rest = last.trimEnd().slice(0, -word.length);
    nodes.splice(-1, 1, rest, make("span", { class: "together" }, word, node));
  } else nodes.push(node);
  return nodes;
}

/** A table row is quoted as it stands in the guide; its pipes are for machines. */
function shownQuote(quote) {
  if (!quote.trimStart().startsWith("|")) return quote;
  return quote.split("|").map((cell) => cell.trim()).filter(Boolean).join(" · ");
}

/** Inline text: **bold**, *emphasis*, and [n] as chips; everything else as it is. */
function inline(source, citations) {
  const nodes = [];
  for (const part of source.split(/(\[\d{1,3}\]|\*\*[^*\n]+\*\*|(?<![\w*])\*[^*\n]+\*(?![\w*]))/)) {
    const number = /^\[(\d+)\]$/.exec(part);
    if (number) addChip(nodes, chip(Number(number[1]), citations) || part);
    else if (/^\*\*[^*]+\*\*$/.test(part)) nodes.push(make("strong", {}, part.slice(2, -2)));
    else if (/^\*[^*]+\*$/.test(part)) nodes.push(make("em", {}, part.slice(1, -1)));
    else if (part) nodes.push(part);
  }
  return nodes;
}

/** The few Markdown blocks that answers use: paragraphs, lists, headings. */
function blocks(markdown, citations) {
  const nodes = [];
  let list = null, paragraph = null;
  for (const line of markdown.split("\n")) {
    const bullet = /^\s*(?:[-*+]|(\d+)[.)])\s+(.*)$/.exec(line), heading = /^#{1,6}\s+(.*)$/.exec(line);
    if (bullet) {
      const tag = bullet[1] ? "ol" : "ul";
      if (!list || list.localName !== tag) nodes.push(list = make(tag, bullet[1] ? { start: bullet[1] } : {}));
      list.append(make("li", { dir: "auto" }, ...inline(bullet[2], citations)));
      paragraph = null;
    } else if (!line.trim()) {
      list = paragraph = null;
    } else if (heading) {
      nodes.push(make("h3", { dir: "auto" }, ...inline(heading[1], citations)));
      list = paragraph = null;
    } else if (paragraph) {
      paragraph.append("\n", ...inline(line, citations));
    } else {
      list = null;
      nodes.push(paragraph = make("p", { dir: "auto" }, ...inline(line, citations)));
    }
  }
  return nodes;
}

function badges(citation) {
  const found = [];
  if (citation.stale) found.push(["warn", "Past its review date"]);
  if (citation.volatile) found.push(["warn", "Changes often"]);
  if (citation.conflict) found.push(["warn", "Sources disagree"]);
  if (citation.confidence === "low") found.push(["warn", "Low confidence"]);
  if (citation.source.tier === "primary") found.push(["good", "Official source"]);
  if (citation.source.tier === "advice") found.push(["", "Advice"]);
  return found.length ? make("ul", { class: "badges" }, ...found.map(([kind, words]) => make("li", { class: `badge ${kind}` }, words))) : null;
}

let openCard = null; // {card, button}

function closeCard(focus) {
  if (!openCard) return;
  openCard.card.remove();
  openCard.button.setAttribute("aria-expanded", "false");
  if (focus) openCard.button.focus();
  openCard = null;
}

function toggleCard(button, citation) {
  const again = openCard && openCard.button === button;
  closeCard(again);
  if (again) return;
  const { guide, source } = citation, link = webAddress(source.url);
  const rows = [];
  if (guide) rows.push(["Guide", guide.section && guide.section !== guide.title ? `${guide.title} › ${guide.section}` : guide.title]);
  rows.push(["Source", source.publisher && source.publisher !== source.title ? `${source.title}, ${source.publisher}` : source.title]);
  rows.push(["Date", citation.as_of && citation.as_of !== "unknown" ? sayDate(citation.as_of) : "not known"]);
  const card = make("aside", { class: "card fresh", "aria-label": `Source ${citation.n}`, tabindex: "-1" },
    make("div", { class: "card-head" },
      make("blockquote", { dir: "auto" }, shownQuote(citation.quote)),
      make("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => closeCard(true) }, "×")),
    badges(citation),
    make("dl", {}, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", { dir: "auto" }, value)])),
    make("p", { class: "links" },
      guide && guide.url.startsWith("/guides/")
        ? make("a", { class: "passage", href: passageUrl(guide.url, citation.quote), target: "_blank", rel: "noopener" }, "Open the passage") : null,
      link ? make("a", { class: "official", href: link, target: "_blank", rel: "noopener nofollow" },
        source.link === "owner" ? "The owner’s page, to check" : source.tier === "primary" ? "Official source" : "Source page") : null));
  const place = button.closest("ul, ol, p, h3, .said > *") || button;
  (button.closest("li") ? button.closest("li") : place).after(card);
  if (card.parentElement.matches("ul, ol")) card.parentElement.after(card); // a card is no list item
  button.setAttribute("aria-expanded", "true");
  openCard = { card, button };
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => { if (event.key === "Escape") closeCard(true); });

function addQuestion(question) {
  welcome.hidden = true;
  const node = make("div", { class: "asked", dir: "auto" }, question);
  log.append(node);
  return node;
}

/** An empty answer; its methods fill it. */
function addAnswer(question) {
  const said = make("div", { class: "said" }), status = make("p", { class: "status", hidden: true });
  const article = make("article", { class: "answer", "aria-label": "Answer", "aria-busy": "true" }, said, status);
  log.append(article);
  let flow = null;
  return {
    status(words) { status.hidden = false; status.textContent = words; },
    sentence({ sentence, citations }) {
      if (!flow) said.append(flow = make("p", { dir: "auto" }));
      const words = sentence.text.replace(/\s*\[\d{1,3}\]/g, "").trim();
      const nodes = inline(words, citations);
      for (const n of sentence.citations) addChip(nodes, chip(n, citations));
      flow.append(make("span", { class: "fresh" }, ...nodes), " ");
      announce.textContent = words;
    },
    answer(answer) {
      status.remove();
      closeCard(false);
      said.replaceChildren(...blocks(answer.text, answer.citations));
      article.dataset.status = answer.status;
      article.append(...[warnings(answer), under(answer)].filter(Boolean));
      article.after(...[next(answer)].filter(Boolean));
      article.setAttribute("aria-busy", "false");
    },
    trouble(words) {
      status.remove();
      article.setAttribute("aria-busy", "false");
      const box = make("div", { class: "trouble", role: "alert" }, make("p", {}, words),
        make("button", { type: "button", onclick: () => { article.remove(); converse(question, false); } }, "Try again"));
      article.append(box);
      box.scrollIntoView({ block: "nearest" });
    },
  };
}

const KINDS = { stale: "Past review", volatile: "Changes often", conflict: "Sources disagree", unverified: "Not verified" };

function warnings(answer) {
  if (!answer.warnings.length) return null;
  return make("ul", { class: "warnings" }, ...answer.warnings.map((warning) => make("li", {},
    make("span", { class: "badge warn" }, KINDS[warning.kind] || warning.kind),
    make("span", { dir: "auto" }, ...inline(warning.text, answer.citations),
      ...warning.citations.filter((n) => !warning.text.includes(`[${n}]`)).map((n) => chip(n, answer.citations))))));
}

function under(answer) {
  const { checks, citations } = answer, box = make("div", { class: "under" });
  if (checks.sentences) {
    box.append(make("p", { class: "checks" },
      make("span", { class: checks.supported === checks.sentences ? "ok" : "" }, `${checks.supported} of ${checks.sentences} sentences checked`),
      checks.figures ? make("span", { class: checks.figures_supported === checks.figures ? "ok" : "" },
        `${checks.figures_supported} of ${checks.figures} figures found in the sources`) : null,
      answer.as_of && answer.as_of !== "unknown" ? make("span", {}, `Oldest fact: ${sayDate(answer.as_of)}`) : null));
  }
  if (citations.length) {
    box.append(make("details", {}, make("summary", {}, citations.length === 1 ? "1 source" : `${citations.length} sources`),
      make("ol", {}, ...citations.map((citation) => {
        const link = webAddress(citation.source.url);
        const about = [citation.source.publisher !== citation.source.title ? citation.source.publisher : "",
          citation.as_of !== "unknown" ? sayDate(citation.as_of) : "date not known"].filter(Boolean).join(", ");
        return make("li", { value: citation.n, dir: "auto" },
          link ? make("a", { href: link, target: "_blank", rel: "noopener nofollow" }, citation.source.title) : citation.source.title,
          make("span", { class: "quiet" }, ` · ${about}`));
      }))));
  }
  box.append(feedback(answer));
  return box;
}

function feedback(answer) {
  const box = make("p", { class: "feedback" }, make("span", {}, "Did this help?"));
  const buttons = [["Yes", 1], ["No", -1]].map(([words, value]) => make("button", {
    type: "button", "aria-pressed": "false",
    onclick: async (event) => {
      const pressed = event.currentTarget;
      try {
        await call("POST", `/answers/${answer.id}/feedback`, { value });
        for (const button of buttons) button.setAttribute("aria-pressed", String(button === pressed));
        announce.textContent = "Thank you.";
      } catch (error) { announce.textContent = error.message || "That could not be saved."; }
    },
  }, words));
  box.append(...buttons);
  if (answer.handoff && answer.handoff.state === "offered") {
    const human = make("button", {
      type: "button", class: "human",
      onclick: async () => {
        try {
          await call("POST", `/conversations/${conversation.id}/handoff`, { reason: answer.handoff.reason });
          human.textContent = "An advisor was asked";
          human.disabled = true;
        } catch (error) { human.textContent = error.message || "That did not work; try again"; }
      },
    }, "Ask a human advisor");
    box.append(human);
  }
  return box;
}

function next(answer) {
  const options = answer.clarify ? answer.clarify.options : [];
  const offered = [...options, ...answer.suggestions];
  if (!offered.length) return null;
  return make("div", { class: "next", role: "group", "aria-label": "Ask next" },
    ...offered.map((words) => make("button", { type: "button", class: "suggestion", dir: "auto", onclick: () => converse(words) }, words)));
}

// The conversation

async function converse(question, isNew = true) {
  if (busy) return;
  busy = true;
  send.disabled = true;
  for (const old of log.querySelectorAll(".next")) old.remove();
  if (isNew) addQuestion(question).scrollIntoView({ block: "start" });
  const answer = addAnswer(question);
  answer.status("Thinking …");
  try {
    await begin();
    let failed = null;
    const on = {
      status: (data) => answer.status(data.text), sentence: answer.sentence, answer: answer.answer,
      error: (problem) => { failed = problem; },
    };
    try {
      await ask(question, on);
    } catch (error) {
      // The conversation is gone (forgotten elsewhere): the question is asked in a new one.
      if (!(error instanceof Trouble) || ![401, 403, 404].includes(error.problem.status)) throw error;
      remember(null);
      await begin();
      await ask(question, on);
    }
    if (failed) answer.trouble(failed.detail);
  } catch (error) {
    answer.trouble(error instanceof Trouble ? error.message : "The server cannot be reached. Check your connection; your question is kept.");
  } finally {
    busy = false;
    send.disabled = false;
  }
}

async function restore() {
  if (!conversation) return;
  try {
    const stored = await (await call("GET", `/conversations/${conversation.id}`)).json();
    tools.hidden = false;
    stored.turns.forEach((turn, at) => {
      if (turn.role === "user") {
        addQuestion(turn.text);
        const later = stored.turns.slice(at + 1);
        if (!later.length) addAnswer(turn.text).trouble("This question has no answer yet.");
      } else {
        for (const old of log.querySelectorAll(".next")) old.remove();
        addAnswer("").answer(turn.answer);
      }
    });
    if (log.lastElementChild) [...log.querySelectorAll(".asked")].pop().scrollIntoView({ block: "start", behavior: "instant" });
  } catch (error) {
    if (error instanceof Trouble) remember(null);
  }
}

function clear() {
  remember(null);
  log.replaceChildren();
  openCard = null;
  tools.hidden = true;
  welcome.hidden = false;
  announce.textContent = "";
  text.focus();
}

by("new").addEventListener("click", () => { if (!busy) clear(); });
by("forget").addEventListener("click", async () => {
  if (busy || !conversation) return;
  try {
    await call("DELETE", `/conversations/${conversation.id}`);
  } catch (error) {
    if (!(error instanceof Trouble) || error.problem.status !== 404) {
      announce.textContent = "It could not be forgotten just now. Please try again.";
      log.append(make("p", { class: "notice", role: "alert" }, announce.textContent));
      return;
    }
  }
  clear();
  announce.textContent = "The conversation is forgotten.";
});

function fit() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
}

by("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = text.value.trim();
  if (!question || busy) return;
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
restore();
