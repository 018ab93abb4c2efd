// Small tools for building the page. Whatever comes from outside becomes text, never HTML.

export const by = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

export const button = (words, onclick, more = {}) => make("button", { type: "button", onclick, ...more }, words);

/** An address of the web, or null: nothing else becomes a link. */
export function webAddress(url) {
  return typeof url === "string" && /^https?:\/\/[^\s/]/i.test(url) ? url : null;
}

/** Tells whoever listens to a screen reader; what follows at once does not cut it short. */
export function announce(words) {
  const region = by("announce"), said = make("span", {}, words, " ");
  if (!words) return region.replaceChildren();
  region.append(said);
  setTimeout(() => said.remove(), 10_000);
}

export async function copy(words) {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch { /* the page around the frame may not have passed the permission on */ }
  const area = make("textarea", { class: "hidden", "aria-hidden": "true", tabindex: "-1" });
  area.value = words;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

export function download(name, blob) {
  const url = URL.createObjectURL(blob), link = make("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
