import { call, here } from "./api.js";
import { announce, button, copy, download, make, webAddress } from "./page.js";
import { sayDate, t, language } from "./words.js";


function shownQuote(quote) {
  if (!quote.trimStart().startsWith("|")) return quote;
  return quote.split("|").map((cell) => cell.trim()).filter(Boolean).join(" · ");
}

function addChip(nodes, node) {
  const last = nodes.at(-1);
  if (last instanceof Element && last.className === "together") last.append(node);
  else if (typeof last === "string" && last.trim()) {
    const word = last.trimEnd().split(/\s/).at(-1).slice(-24), rest = last.trimEnd().slice(0, -word.length);
    nodes.splice(-1, 1, rest, make("span", { class: "together" }, word, node));
  } else nodes.push(node);
}

/** Inline text: **bold**, *emphasis*, and [n] as chips; everything else as it is. */
export function inline(source, citations) {
  const nodes = [];
  for (const part of source.split(/(\[\d{1,3}\]|\*\*[^*\n]+\*\*|(?<![\w*])\*[^*\n]+\*(?![\w*]))/)) {
    const number = /^\[(\d+)\]$/.exec(part), known = number && chip(Number(number[1]), citations);
    if (known) addChip(nodes, known);
    else if (/^\*\*[^*]+\*\*$/.test(part)) nodes.push(make("strong", {}, part.slice(2, -2)));
    else if (/^\*[^*]+\*$/.test(part)) nodes.push(make("em", {}, part.slice(1, -1)));
    else if (part) nodes.push(part);
  }
  return nodes;
}

function blocks(markdown, citations) {
  const nodes = [];
  let list = null, paragraph = null;
  for (const line of markdown.split("\n")) {
    const bullet = /^\s*(?:[-*+]|(\d+)[.)])\s+(.*)$/.exec(line), heading = /^#{1,6}\s+(.*)$/.exec(line);
    if (bullet) {
      const tag = bullet[1] ? "ol" : "ul";
      if (!list || list.localName !== tag) nodes.push(list = make(tag, bullet[1] ? { start: bullet[1] } : {}));
      list.append(make("li", { dir: "auto" }, inline(bullet[2], citations)));
      paragraph = null;
    } else if (!line.trim()) {
      list = paragraph = null;
    } else if (heading) {
      nodes.push(make("h2", { dir: "auto" }, inline(heading[1], citations)));
      list = paragraph = null;
    } else if (paragraph) {
      paragraph.append("\n", ...inline(line, citations));
    } else {
      list = null;
      nodes.push(paragraph = make("p", { dir: "auto" }, inline(line, citations)));
    }
  }
  return nodes;
}


let open = null; // {card, chip, pinned}
let closed = 0; // when, so that a number that moves under a resting mouse opens nothing
const passages = new Map(); // chunk id -> promise of its text, or of null

export function closeCard(focus = false) {
  if (!open) return;
  closed = performance.now();
  open.card.remove();
  open.chip.setAttribute("aria-expanded", "false");
  if (focus) open.chip.focus();
  open = null;
}

function chip(n, citations) {
  const citation = citations.find((item) => item.n === n);
  if (!citation) return null;
  let timer;
  const node = button(String(n), () => {
    const again = open?.chip === node && open.pinned;
    closeCard(again);
    if (!again) showCard(node, citation, true);
  }, { class: "chip", "aria-expanded": "false", "aria-label": t("source", { n }) });
  node.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse" && !open?.pinned && performance.now() - closed > 300) timer = setTimeout(() => { closeCard(); showCard(node, citation, false); }, 350);
  });
  node.addEventListener("pointerleave", () => {
    clearTimeout(timer);
    setTimeout(() => { if (open?.chip === node && !open.pinned && !open.card.matches(":hover")) closeCard(); }, 250);
  });
  return node;
}

function badges(citation) {
  const found = [];
  if (citation.stale) found.push(["warn", "stale"]);
  if (citation.volatile) found.push(["warn", "volatile"]);
  if (citation.conflict) found.push(["warn", "conflict"]);
  if (citation.confidence === "low") found.push(["warn", "low"]);
  if (citation.source.tier === "primary") found.push(["good", "primary"]);
  if (citation.source.tier === "advice") found.push(["", "advice"]);
  return found.length ? make("ul", { class: "badges" }, found.map(([kind, key]) => make("li", { class: `badge ${kind}` }, t(key)))) : null;
}

function quoted(citation) {
  const box = make("blockquote", { dir: "auto", lang: "en" }, make("mark", {}, shownQuote(citation.quote)));
  if (citation.quote.trimStart().startsWith("|")) return box;
  if (!passages.has(citation.chunk_id)) {
    passages.set(citation.chunk_id, call("GET", `/passages/${encodeURIComponent(citation.chunk_id)}`)
      .then((found) => found.json()).then((found) => found.text).catch(() => null));
  }
  passages.get(citation.chunk_id).then((whole) => {
    const at = whole ? whole.indexOf(citation.quote) : -1;
    if (at < 0) return;
    const end = at + citation.quote.length, from = whole.lastIndexOf("\n\n", at) + 1, to = whole.indexOf("\n\n", end);
    box.replaceChildren(whole.slice(from, at).trimStart(), make("mark", {}, citation.quote), whole.slice(end, to < 0 ? undefined : to));
  });
  return box;
}

function passageUrl(url, quote) {
  const [path, anchor] = url.split("#");
  return `${path}?quote=${encodeURIComponent(quote)}${anchor ? `#${anchor}` : ""}`;
}

const dateOf = (citation) => (citation.as_of && citation.as_of !== "unknown" ? sayDate(citation.as_of) : t("dateUnknown"));

function showCard(node, citation, pinned) {
  const { guide, source } = citation, link = webAddress(source.url), rows = [];
  if (guide) rows.push([t("guide"), guide.section && guide.section !== guide.title ? `${guide.title} › ${guide.section}` : guide.title]);
  rows.push([t("publisher"), source.publisher && source.publisher !== source.title ? `${source.title}, ${source.publisher}` : source.title]);
  rows.push([t("date"), dateOf(citation)]);
  const card = make("aside", { class: "card fresh", "aria-label": t("source", { n: citation.n }), tabindex: "-1" },
    make("div", { class: "card-head" }, quoted(citation), button("×", () => closeCard(true), { class: "close", "aria-label": t("close") })),
    badges(citation),
    make("dl", {}, rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", { dir: "auto" }, value)])),
    make("p", { class: "links" },
      guide && guide.url.startsWith("/guides/")
        ? make("a", { class: "passage", href: passageUrl(guide.url, citation.quote), target: "_blank", rel: "noopener" }, t("openPassage")) : null,
      link ? make("a", { class: "official", href: link, target: "_blank", rel: "noopener nofollow" },
        t(source.link === "owner" ? "ownerPage" : source.tier === "primary" ? "officialPage" : "sourcePage")) : null));
  const place = node.closest(".scroll, ul, ol, p, h2, .said > *") || node;
  place.after(card); // beside the paragraph, list or table, never inside it
  node.setAttribute("aria-expanded", "true");
  open = { card, chip: node, pinned };
  card.addEventListener("pointerleave", () => { if (!open?.pinned) closeCard(); });
  card.addEventListener("focusin", () => { if (open?.card === card) open.pinned = true; });
  if (!pinned) return;
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => { if (event.key === "Escape" && open) { event.preventDefault(); closeCard(true); } });
document.addEventListener("pointerdown", (event) => { if (open && !open.card.contains(event.target) && event.target !== open.chip) closeCard(); });


function result(found, answer) {
  const title = make("h2", { id: `result-${answer.id}-${found.ref}`, dir: "auto", lang: "en" }, found.title);
  const notes = found.notes.length || found.unknown.length ? make("ul", { class: "notes", lang: "en" },
    found.notes.map((words) => make("li", { dir: "auto" }, words)),
    found.unknown.map((words) => make("li", { dir: "auto" }, `${t("unknown")}: ${words}`))) : null;
  return make("section", { class: `result ${found.kind}`, "aria-labelledby": title.id }, title,
    found.kind === "cards" ? cards(found, answer) : found.kind === "checklist" ? checklist(found, answer) : table(found, answer),
    notes, exportsOf(found, answer));
}

const sources = (row, answer) => row.citations.map((n) => chip(n, answer.citations)).filter(Boolean);

function cell(row, key) {
  const value = row.cells[key] ?? "", worked = row.computed.find((item) => item.key === key);
  const shown = value === "unknown" ? make("span", { class: "quiet" }, t("unknown")) : value;
  return worked ? [shown, make("details", { class: "worked" }, make("summary", {}, t("workedOut")), worked.formula)] : [shown];
}

function table(found, answer) {
  const head = (words) => make("th", { scope: "col", dir: "auto" }, words), side = (content) => make("th", { scope: "row", dir: "auto" }, content);
  const [first, ...rest] = found.columns;
  // A few things compared in many respects stand side by side: a narrow screen has no room for many columns.
  const body = found.rows.length < 4 && rest.length > 3
    ? [make("tr", {}, head(first.label), found.rows.map((row) => head(cell(row, first.key)))),
      rest.map((column) => make("tr", {}, side(column.label), found.rows.map((row) => make("td", { dir: "auto" }, cell(row, column.key))))),
      make("tr", {}, side(t("sourcesColumn")), found.rows.map((row) => make("td", { class: "chips" }, sources(row, answer))))]
    : [make("tr", {}, found.columns.map((column) => head(column.label)), head(t("sourcesColumn"))),
      found.rows.map((row) => make("tr", {}, side(cell(row, first.key)), rest.map((column) => make("td", { dir: "auto" }, cell(row, column.key))),
        make("td", { class: "chips" }, sources(row, answer))))];
  const [top, ...others] = body;
  return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": found.title },
    make("table", { lang: "en" }, make("thead", {}, top), make("tbody", {}, others.flat())));
}

function cards(found, answer) {
  const [first, ...rest] = found.columns;
  return make("ol", { class: "found", lang: "en" }, found.rows.map((row) => make("li", { dir: "auto" },
    make("h3", {}, cell(row, first.key), sources(row, answer)),
    row.reason ? make("p", {}, row.reason) : null,
    make("dl", {}, rest.flatMap((column) => [make("dt", {}, column.label), make("dd", { dir: "auto" }, cell(row, column.key))])))));
}

function checklist(found, answer) {
  const [first, ...rest] = found.columns;
  return make("ol", { class: "tasks", lang: "en" }, found.rows.map((row) => make("li", { dir: "auto" },
    make("strong", {}, cell(row, first.key)), sources(row, answer),
    row.reason ? make("p", {}, row.reason) : null,
    make("dl", {}, rest.flatMap((column) => [make("dt", {}, column.label), make("dd", { dir: "auto" }, cell(row, column.key))])))));
}

const FORMATS = { md: "exportMd", ics: "exportIcs", html: "exportHtml" };

function exportsOf(found, answer) {
  if (!found.exports.length) return null;
  return make("p", { class: "exports" }, found.exports.filter((kind) => FORMATS[kind]).map((kind) => button(t(FORMATS[kind]), async () => {
    try {
      const response = await call("GET", `/answers/${answer.id}/results/${encodeURIComponent(found.ref)}.${kind}`);
      download(`${found.tool}.${kind}`, await response.blob());
    } catch { announce(t("failed")); }
  }, { class: "quiet-button" })));
}


function warnings(answer) {
  if (!answer.warnings.length) return null;
  return make("ul", { class: "warnings" }, answer.warnings.map((warning) => make("li", {},
    make("span", { class: "badge warn" }, t(warning.kind)),
    make("span", { dir: "auto" }, inline(warning.text, answer.citations),
      warning.citations.filter((n) => !warning.text.includes(`[${n}]`)).map((n) => chip(n, answer.citations))))));
}

function checks({ checks: counted, as_of: oldest }) {
  if (!counted.sentences) return null;
  return make("p", { class: "checks" },
    make("span", { class: counted.supported === counted.sentences ? "ok" : "" }, t("checked", { n: counted.sentences, done: counted.supported })),
    counted.figures ? make("span", { class: counted.figures_supported === counted.figures ? "ok" : "" },
      t("figures", { n: counted.figures, done: counted.figures_supported })) : null,
    oldest && oldest !== "unknown" ? make("span", {}, t("oldest", { date: sayDate(oldest) })) : null);
}

function sourceList(answer) {
  if (!answer.citations.length) return null;
  return make("details", {}, make("summary", {}, t("sources", { n: answer.citations.length })),
    make("ol", {}, answer.citations.map((citation) => {
      const { source } = citation, link = webAddress(source.url);
      const about = [source.publisher !== source.title ? source.publisher : "", dateOf(citation)].filter(Boolean).join(", ");
      return make("li", { value: citation.n, dir: "auto" },
        link ? make("a", { href: link, target: "_blank", rel: "noopener nofollow" }, source.title) : source.title,
        make("span", { class: "quiet" }, ` · ${about}`));
    })));
}

export function asText(answer) {
  const lines = answer.citations.map((citation) => {
    const { source } = citation;
    return `[${citation.n}] ${[source.publisher, source.title].filter(Boolean).join(": ")} (${dateOf(citation)})${webAddress(source.url) ? ` ${source.url}` : ""}`;
  });
  return `${answer.text}${lines.length ? `\n\n${t("sourcesColumn")}:\n${lines.join("\n")}` : ""}\n`;
}

const REASONS = ["wrong", "outdated", "unclear", "incomplete", "other"];

function feedback(answer) {
  const box = make("div", { class: "feedback", role: "group", "aria-label": t("helped") }, make("span", {}, t("helped")));
  const save = async (value, more = {}) => {
    try {
      await call("POST", `/answers/${answer.id}/feedback`, { value, ...more });
      votes.forEach((node, i) => node.setAttribute("aria-pressed", String([1, -1][i] === value)));
      announce(t("thanks"));
      return true;
    } catch (error) {
      announce(error.message || t("failed"));
      return false;
    }
  };
  const why = make("form", { class: "why", hidden: true, onsubmit: async (event) => {
    event.preventDefault();
    const data = new FormData(why), reason = data.get("reason"), comment = data.get("comment").trim();
    if (await save(-1, { ...(reason ? { reason } : {}), ...(comment ? { comment } : {}) })) why.replaceChildren(make("p", { role: "status" }, t("thanks")));
  } },
  make("fieldset", {}, make("legend", {}, t("whyNot")), REASONS.map((reason) => make("label", {},
    make("input", { type: "radio", name: "reason", value: reason }), t(`why_${reason}`)))),
  make("label", {}, t("comment"), make("textarea", { name: "comment", rows: "2", maxlength: "2000", dir: "auto" })),
  make("button", { type: "submit" }, t("sendFeedback")));
  const votes = [[t("yes"), 1], [t("no"), -1]].map(([words, value]) => button(words, async () => {
    const saved = await save(value);
    if (!saved) return;
    why.hidden = value > 0;
    why.querySelector("input")?.focus();
  }, { "aria-pressed": "false" }));
  const copied = button(t("copy"), async () => announce(t(await copy(asText(answer)) ? "copied" : "failed")), { class: "copy" });
  // Votes are on what we answer; a person who helped is thanked in words.
  if (answer.trace?.mode === "advisor") return [make("div", { class: "feedback" }, copied)];
  box.append(...votes, copied);
  return [box, why];
}

/** Keeps the card and focus where they are while the answer is finished: returns what to do afterwards. */
function keep(said) {
  const at = document.activeElement, card = open && said.contains(open.chip) ? open : null;
  if (!card && !said.contains(at)) return null;
  const number = (card ? card.chip : at).textContent, within = card && card.card.contains(at), pinned = card?.pinned;
  closeCard();
  return () => {
    const node = [...said.querySelectorAll(".chip")].find((other) => other.textContent === number);
    if (!node) return;
    if (pinned) node.click();
    if (!within) node.focus();
  };
}

function tongues(answer) {
  const paragraphs = [], left = [...answer.sentences];
  for (const text of answer.text.split("\n\n")) {
    let rest = text, paragraph = null;
    while (left.length && rest.includes(left[0].text)) {
      const { text: own, language: other, citations } = left.shift(), lang = other || answer.language;
      rest = rest.slice(rest.indexOf(own) + own.length);
      if (paragraph?.lang !== lang) paragraphs.push(paragraph = make("p", { dir: lang === "en" ? "ltr" : "auto", lang }));
      paragraph.append(...(paragraph.firstChild ? [" "] : []), ...inline([own, ...citations.map((n) => `[${n}]`)].join(" "), answer.citations));
    }
    if (!paragraph) paragraphs.push(make("p", { dir: "auto", lang: answer.language }, inline(text, answer.citations)));
  }
  return paragraphs;
}

function originals(answer) {
  const found = answer.sentences.filter((sentence) => sentence.original);
  if (!found.length) return null;
  return make("details", { class: "originals" }, make("summary", {}, t("englishOriginal")),
    make("ol", { lang: "en", dir: "ltr" }, found.map((sentence) => make("li", {}, sentence.original))));
}

export function fill(article, said, answer) {
  const stays = keep(said), foreign = answer.language && answer.language !== "en";
  said.replaceChildren(...(foreign ? tongues(answer) : blocks(answer.text, answer.citations)), ...[originals(answer)].filter(Boolean));
  stays?.();
  const own = answer.sentences.filter((sentence) => sentence.kind === "own");
  if (own.length) said.append(make("p", { class: "quiet small" }, t("ownWords", { n: own.length })));
  if (language !== "en" && !foreign && answer.citations.length) said.prepend(make("p", { class: "quiet small" }, t("englishFacts")));
  article.dataset.status = answer.status;
  article.append(...(answer.results || []).map((found) => result(found, answer)), ...[warnings(answer)].filter(Boolean),
    make("div", { class: "under" }, checks(answer), sourceList(answer), feedback(answer)));
  article.setAttribute("aria-busy", "false");
}

export function sentence(data) {
  const other = data.sentence.language;
  return make("span", { class: "fresh", dir: "auto", ...(other ? { lang: other } : {}) }, inline(data.sentence.text, data.citations),
    data.sentence.citations.filter((n) => !data.sentence.text.includes(`[${n}]`)).map((n) => chip(n, data.citations)), " ");
}

export async function save() {
  const { turns } = await (await here("GET")).json();
  const parts = turns.map((turn) => {
    if (turn.role === "user") return `## ${turn.text}\n`;
    return `${turn.role === "advisor" ? `**${t("advisorReply", { name: turn.advisor })}**\n\n` : ""}${asText(turn.answer)}`;
  });
  download("img-advisor.md", new Blob([`# IMG Advisor\n\n${parts.join("\n")}\n${t("note")}\n`], { type: "text/markdown" }));
}
