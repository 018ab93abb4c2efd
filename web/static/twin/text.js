// Slack's two ways of marking text, as nodes: mrkdwn of messages, and Markdown of streams. What is not markup is text.

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return node;
}

const EMOJI = { // plain signs, which every machine has
  white_check_mark: "✓", hourglass: "◷", hourglass_flowing_sand: "◷", arrows_counterclockwise: "↻", scales: "⚖", grey_question: "?",
  bust_in_silhouette: "☺", pencil2: "✎", speech_balloon: "“", raising_hand: "✋", warning: "⚠", sparkles: "✦", envelope_with_arrow: "✉",
  calendar: "▦", rotating_light: "‼", large_orange_circle: "●", x: "✗", mag: "⌕", pushpin: "☛",
};

const decode = (text) => text.replace(/&(lt|gt|amp);/g, (_, name) => ({ lt: "<", gt: ">", amp: "&" })[name]);
const emoji = (text) => text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => EMOJI[name] ?? whole);
const safe = (url) => (/^https?:\/\//i.test(url) ? url : null);

export const link = (url, text) => (safe(url) ? make("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, text || url) : make("span", {}, text || url));

/** Nodes for *bold*, _soft_, ~struck~ and `code` in a stretch without angle brackets. */
function styled(text) {
  const nodes = [];
  for (const part of text.split(/(`[^`\n]+`|(?<![\w*])\*[^*\n]+\*(?![\w*])|(?<![\w_])_[^_\n]+_(?![\w_])|(?<![\w~])~[^~\n]+~(?![\w~]))/)) {
    const inner = part.slice(1, -1);
    if (/^`[^`]+`$/.test(part)) nodes.push(make("code", {}, decode(inner)));
    else if (/^\*[^*]+\*$/.test(part)) nodes.push(make("strong", {}, emoji(decode(inner))));
    else if (/^_[^_]+_$/.test(part)) nodes.push(make("em", {}, emoji(decode(inner))));
    else if (/^~[^~]+~$/.test(part)) nodes.push(make("s", {}, emoji(decode(inner))));
    else if (part) nodes.push(emoji(decode(part)));
  }
  return nodes;
}

const dateOf = (seconds) => new Date(Number(seconds) * 1000);
export const clock = (ts) => dateOf(ts).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

function special(inner, people) {
  const [what, label] = [inner.split("|")[0], inner.includes("|") ? decode(inner.slice(inner.indexOf("|") + 1)) : ""];
  if (what.startsWith("@")) return make("span", { class: "mention" }, `@${people.get(what.slice(1)) ?? label ?? what}`);
  if (what.startsWith("#")) return make("span", { class: "mention" }, `#${label || what.slice(1)}`);
  if (what.startsWith("!date^")) return make("time", {}, dateOf(what.split("^")[1]).toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));
  if (what.startsWith("!")) return make("span", { class: "mention alarm" }, `@${label || what.slice(1)}`);
  return link(decode(what), label);
}

/** mrkdwn: links and mentions in angle brackets, a few marks around words, "> " for quotes. */
export function mrkdwn(text, people) {
  return text.split("\n").flatMap((row, at) => {
    const quoted = /^(?:&gt;|>) ?/.exec(row), nodes = [];
    const source = quoted ? row.slice(quoted[0].length) : row;
    let from = 0;
    for (const found of source.matchAll(/<([^<>]+)>/g)) {
      nodes.push(...marked(source.slice(from, found.index)));
      nodes.push(special(found[1], people));
      from = found.index + found[0].length;
    }
    nodes.push(...marked(source.slice(from)));
    // A mark may stand around a link: *<url|words>*
    const shown = joinMarks(nodes);
    return [at ? make("br") : null, ...(quoted ? [make("span", { class: "quoted" }, ...shown)] : shown)].filter(Boolean);
  });
}

const marked = (text) => (text ? styled(text) : []);

function joinMarks(nodes) {
  const result = [];
  for (let at = 0; at < nodes.length; at++) {
    const [before, node, after] = [result.at(-1), nodes[at], nodes[at + 1]];
    const mark = typeof before === "string" && node instanceof Element && typeof after === "string" && /[*_]$/.exec(before);
    if (mark && after.startsWith(mark[0])) {
      result[result.length - 1] = before.slice(0, -1);
      result.push(make(mark[0] === "*" ? "strong" : "em", {}, node));
      nodes[at + 1] = after.slice(1);
    } else result.push(node);
  }
  return result.filter((node) => node !== "");
}

/** The Markdown of streams: paragraphs, lists, **bold**, *soft*, [words](address), escapes. */
export function markdown(text) {
  const nodes = [];
  let list = null, paragraph = null;
  for (const row of text.split("\n")) {
    const item = /^\s*(?:[-*+]|\d+[.)])\s+(.*)$/.exec(row);
    if (item) {
      if (!list) nodes.push(list = make(/^\s*\d/.test(row) ? "ol" : "ul"));
      list.append(make("li", {}, ...inline(item[1])));
      paragraph = null;
    } else if (!row.trim()) list = paragraph = null;
    else if (paragraph) paragraph.append(make("br"), ...inline(row));
    else nodes.push(paragraph = make("p", { dir: "auto" }, ...inline(row)));
    if (!item && row.trim()) list = null;
  }
  return nodes;
}

const plainly = (text) => decode(text.replace(/\\([\\`*_~[\]|#()<>!.+-])/g, "$1"));

function inline(text) {
  const nodes = [];
  let from = 0;
  for (const found of text.matchAll(/(?<!\\)\[((?:[^\]\\]|\\.)+)\]\(([^)\s]+)\)|\*\*([^*]+)\*\*|(?<![\w*\\])\*([^*]+)\*(?!\w)/g)) {
    if (found.index > from) nodes.push(plainly(text.slice(from, found.index)));
    if (found[1]) nodes.push(link(decode(found[2]), plainly(found[1])));
    else nodes.push(make(found[3] ? "strong" : "em", {}, plainly(found[3] ?? found[4])));
    from = found.index + found[0].length;
  }
  nodes.push(plainly(text.slice(from)));
  return nodes;
}

export const plainText = (object) => emoji(object?.text ?? "");
