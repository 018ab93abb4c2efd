// What a search found, to be put into the letter sentence by sentence.
export function el(name, kind, words = "") {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.textContent = words;
  return made;
}

export function badge(words, level) {
  return el("span", `badge ${level}`, words);
}

export function showFound(place, found, can) {
  const parts = [...found.sections.map((s, i) => section(s, can, i === 0)), ...found.rows.map((r) => section(r, can, false))];
  const none = el("p", "muted small", "Nothing is found. Try the words of the field: “H-1B Step 3”, “Texas license”.");
  place.replaceChildren(...(parts.length ? parts : [none]));
}

function section(s, can, open) {
  const details = document.createElement("details");
  details.open = open;
  const summary = el("summary", "", s.title);
  if (s.whole) summary.append(" ", badge("row", ""));
  details.append(summary);
  if (s.url) {
    const line = el("p", "small");
    const to = el("a", "", "Open the guide");
    to.href = s.url;
    line.append(to);
    details.append(line);
  }
  if (can && s.whole) {
    const line = el("p", "");
    line.append(inserting(s.whole, "Insert the whole row", s.title));
    details.append(line);
  }
  const list = el("ul", "pieces");
  for (const e of s.sentences) {
    const item = el("li", "piece");
    const about = [e.advice ? "Advice of the guide" : e.source, e.as_of, e.volatile && "changes often", e.conflict && "sources differ"];
    const line = el("p", "small muted", `${about.filter(Boolean).join(" · ")} `);
    if (can) line.append(inserting(e.insert, "Insert", e.said));
    item.append(el("p", "", e.said), line);
    list.append(item);
  }
  details.append(list);
  return details;
}

function inserting(piece, words, about) {
  const button = el("button", "btn small", words);
  button.type = "button";
  button.dataset.insert = piece;
  button.append(el("span", "hidden", ` “${about.slice(0, 60)}”`));
  return button;
}
