// What is waiting, in the navigation and the title of every page of the console; rooms listen to "console:pulse".
// A connection only while the window is seen: browsers allow few of them for all windows together.
"use strict";

const inboxLink = document.querySelector('.side nav a[href="/console/inbox"]');
const title = document.title;
let source = null;

function tell(pulse) {
  if (inboxLink) {
    let count = inboxLink.querySelector(".count");
    if (!count) {
      count = document.createElement("span");
      count.className = "count";
      inboxLink.append(count);
    }
    const words = document.createElement("span");
    words.className = "hidden";
    words.textContent = " waiting";
    count.replaceChildren(String(pulse.waiting), words);
    count.title = `${pulse.waiting} waiting, ${pulse.new} of them new`;
    count.hidden = !pulse.waiting;
  }
  document.title = pulse.waiting ? `(${pulse.waiting}) ${title}` : title;
  document.dispatchEvent(new CustomEvent("console:pulse", { detail: pulse }));
}

function connect() {
  if (source || document.hidden) return;
  source = new EventSource("/console/live");
  source.addEventListener("pulse", (event) => tell(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    if (source?.readyState !== EventSource.CLOSED) return; // it tries again by itself
    source = null; // refused: signed out, or the server is starting
    setTimeout(connect, 15_000);
  });
}

function disconnect() {
  source?.close();
  source = null;
}

document.addEventListener("visibilitychange", () => { document.hidden ? disconnect() : connect(); });
window.addEventListener("pagehide", disconnect);
window.addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
connect();
