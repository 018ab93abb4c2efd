// What the chat says, in the language chosen: strings/<language>.json, each of them complete.

export const LANGUAGES = ["en", "es", "pt", "fr", "ru", "ar", "ur", "hi", "zh", "fil"];

let words = {}, rules = new Intl.PluralRules("en"), dates = null;
export let language = "en";

export function known(tag) {
  const first = String(tag).toLowerCase().split("-")[0];
  return LANGUAGES.includes(first) ? first : first === "tl" ? "fil" : "en";
}

const read = async (name) => (await fetch(new URL(`strings/${name}.json`, import.meta.url))).json();

/** Loads the words of a language and puts them on the page: `data-t` names an element's text, `data-t-LABEL` an attribute's. */
export async function speak(tag) {
  const wanted = known(tag);
  try {
    words = await read(wanted);
    language = wanted;
  } catch { /* the page's own English stays */ }
  rules = new Intl.PluralRules(language);
  try { dates = new Intl.DateTimeFormat(language, { timeZone: "UTC", year: "numeric", month: "long", day: "numeric" }); } catch { dates = null; }
  const root = document.documentElement;
  root.lang = language;
  root.dir = /^(ar|ur)$/.test(language) ? "rtl" : "ltr";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const name of ["aria-label", "placeholder"]) {
    for (const node of document.querySelectorAll(`[data-t-${name}]`)) node.setAttribute(name, t(node.getAttribute(`data-t-${name}`)));
  }
}

export function t(key, values = {}) {
  const found = words[key] ?? key;
  const form = typeof found === "object" ? found[rules.select(values.n)] ?? found.other : found;
  return form.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export function sayDate(date) {
  const [year, month, day] = String(date).split("-").map(Number);
  if (!year || !month || month > 12 || !dates) return String(date);
  const parts = dates.formatToParts(Date.UTC(year, month - 1, day || 1));
  if (day) return parts.map((part) => part.value).join("");
  return new Intl.DateTimeFormat(language, { timeZone: "UTC", year: "numeric", month: "long" }).format(Date.UTC(year, month - 1, 1));
}
