// What the school's page does with the widget: opens it, asks with it, and changes its looks, all through its public API.
"use strict";

window.IMGAdvisor = window.IMGAdvisor || [];
const chat = (...call) => window.IMGAdvisor.push(call);
const form = document.getElementById("options"), code = document.getElementById("code");
const OURS = { position: "", accent: "#0e5c63", lang: "en", theme: "auto", label: "", greeting: "" };

const escaped = (value) => value.replace(/&/g, "&amp;").replace(/"/g, "&quot;").replace(/</g, "&lt;");

function chosen() {
  return Object.fromEntries(Object.keys(OURS).map((name) => [name, form.elements[name].value]).filter(([name, value]) => value !== OURS[name]));
}

function write() {
  const inline = form.elements.place.value === "inline";
  const options = { site: "https://your.site", ...(inline ? { target: "#chat" } : {}), ...chosen() };
  const attributes = Object.entries(options).map(([name, value]) => `\n  data-${name}="${escaped(value)}"`).join("");
  code.textContent = `${inline ? '<div id="chat"></div>\n' : ""}<script async src="${location.origin}/widget/embed.js"${attributes}></script>`;
}

form.addEventListener("input", (event) => {
  if (event.target.name === "place") form.requestSubmit(); // the widget is put into the page once, when the page is loaded
  else chat("set", { ...OURS, accent: "", ...chosen() });
  write();
});
for (const button of document.querySelectorAll("[data-open]")) button.addEventListener("click", () => chat("open"));
for (const button of document.querySelectorAll("[data-ask]")) button.addEventListener("click", () => chat("ask", button.dataset.ask));
document.getElementById("copy").addEventListener("click", async () => {
  const told = document.getElementById("copied");
  try {
    await navigator.clipboard.writeText(code.textContent);
    told.textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(code);
    told.textContent = "Your browser does not let us copy. The code is selected: press Ctrl or ⌘ and C.";
  }
});
const asked = new URLSearchParams(location.search).get("ask");
if (asked) chat("ask", asked);
write();
