// Small comforts of every page of the console. Nothing here is needed: forms and links work without it.
"use strict";

// <button data-confirm="Sure?">
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// <button type="button" data-copy="#id" hidden>: shown where there is a clipboard
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent.trim());
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1600);
  });
}

// <time datetime="…" data-ago>: "5 minutes ago" in the place of a date, kept fresh; the date stays as its title
const ago = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
function sayAgo() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
    const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60]].find(([, n]) => Math.abs(seconds) >= n) ?? ["second", 1];
    if (!time.title) time.title = time.textContent.trim();
    time.textContent = unit === "second" ? "just now" : ago.format(Math.trunc(seconds / size), unit);
  }
}
sayAgo();
setInterval(sayAgo, 30_000);
document.addEventListener("console:fresh", sayAgo);

// The room one is in, in sight, where the rooms are a row that scrolls
const row = document.querySelector(".side nav");
const at = row?.querySelector("[aria-current]");
if (at && row.scrollWidth > row.clientWidth) row.scrollLeft = at.offsetLeft - row.offsetLeft - 16;
