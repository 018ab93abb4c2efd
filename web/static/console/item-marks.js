// The marks behind the text, and the same as lists beside it.
import { badge, el } from "./item-found.js";

const RANK = { "": 0, info: 1, warn: 2, bad: 3 };

/** Cuts the text where marks begin and end; of marks over one another the worst shows. */
export function paint(text, findings) {
  const keys = [...text.matchAll(/\[e[0-9a-f]{7}\]/g)].map((match) => [match.index, match.index + match[0].length]);
  const ends = [...findings.map((f) => [f.start, f.end]), ...keys].flat();
  const cuts = [...new Set([0, text.length, ...ends])].sort((a, b) => a - b);
  const parts = [];
  for (let i = 0; i + 1 < cuts.length; i += 1) {
    const piece = text.slice(cuts[i], cuts[i + 1]);
    const over = findings.filter((f) => f.start <= cuts[i] && cuts[i + 1] <= f.end);
    const level = over.reduce((worst, f) => (RANK[f.level] > RANK[worst] ? f.level : worst), "");
    const kind = keys.some(([start, end]) => start <= cuts[i] && cuts[i + 1] <= end) ? `${level} key`.trim() : level;
    parts.push(kind ? el("mark", kind, piece) : piece);
  }
  document.getElementById("marks").replaceChildren(...parts, "\u200b");
}

export function sayVerdict(findings, text, problem = "") {
  const line = document.getElementById("verdict");
  const bad = findings.filter((f) => f.level === "bad").length;
  const rest = findings.length - bad;
  const said = problem || !text.trim() ? problem : findings.length ? `${bad} to settle, ${rest} to know` : "Every sentence is borne out or a courtesy.";
  line.className = `verdict small ${bad || problem ? "bad" : text.trim() ? "ok" : ""}`;
  if (line.textContent !== said) line.textContent = said;
}

export function listFindings(findings, { text, replace }) {
  const items = findings.map((f) => {
    const item = el("li", f.level);
    item.id = f.id;
    const quote = f.quote && !f.said.includes(f.quote) ? el("p", "small quote", `The source: “${f.quote}” `) : "";
    if (quote && f.url) quote.append(link(f.url, "Open"));
    const row = el("p", "toolbar");
    const show = el("button", "btn small", "Show in the text");
    show.type = "button";
    show.addEventListener("click", () => {
      text.focus();
      text.setSelectionRange(f.start, f.end);
    });
    row.append(show);
    if (f.key && f.quote && f.level === "bad") {
      const put = el("button", "btn small", "Take the source's words");
      put.type = "button";
      put.addEventListener("click", () => {
        const whole = findings.sentences?.find((s) => s.start <= f.start && f.end <= s.end) ?? f;
        replace(whole.start, whole.end, `${f.quote.replace(/\s+/g, " ")} [${f.key}]`);
      });
      row.append(put);
    }
    item.append(head(f), el("p", "small", f.reason), quote, row);
    return item;
  });
  const none = el("li", "muted", "Nothing. Figures, names and claims are all in their sources.");
  document.getElementById("finding-list").replaceChildren(...(items.length ? items : [none]));
}

function head(f) {
  const line = el("p", "");
  line.append(badge(f.label, f.level), " ", el("q", "", f.said));
  return line;
}

const KINDS = { own: ["Your own words", "warn"], todo: ["To do", "bad"], frame: ["Courtesy", ""] };

export function listSources(sources) {
  const rows = sources.map((s) => {
    const row = el("li", "");
    row.append(el("span", "said-short", s.said), " ");
    for (const c of s.chips) {
      const chip = link(c.url || "#", `${c.name} · ${c.as_of}`);
      chip.className = `chip source${c.stale ? " old" : ""}`;
      chip.title = `“${c.quote}”`;
      row.append(chip, " ");
    }
    if (!s.chips.length) row.append(badge(...(KINDS[s.kind] ?? [s.kind, ""])));
    return row;
  });
  document.getElementById("source-list").replaceChildren(...rows);
}

function link(to, words) {
  const made = el("a", "", words);
  if (to.startsWith("/") || to.startsWith("https://") || to === "#") made.href = to;
  return made;
}
