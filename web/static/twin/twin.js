// The page that plays a workspace: it shows what one person sees, and tells the twin what they do.

import { blocks, chosen, tasks } from "./blocks.js";
import { clock, make, markdown, mrkdwn } from "./text.js";

const $ = (id) => document.getElementById(id);
let expected = false; // a question was asked in the direct chat: its thread opens with the answer
let world = null, place = "", tab = "messages", thread = "", me = sessionStorage.getItem("me") ?? "", shownWindow = "";
const feedback = new Map(), people = new Map(), drawn = new WeakMap();

// To and from the twin

async function act(what) {
  const reply = await fetch("/act", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ user: me, ...what }) });
  const said = await reply.json();
  if (!reply.ok) say(said.error ?? "This did not work.");
  return said.answer ?? {};
}

const say = (text) => { $("said").textContent = text; };

let turn = 0;
/** Asks for news as long as this page is open; whoever becomes somebody else asks anew. */
async function follow() {
  const mine = ++turn;
  let since = "";
  while (mine === turn) {
    try {
      const reply = await fetch(`/world?user=${encodeURIComponent(me)}&since=${since}`);
      if (!reply.ok) throw new Error();
      const found = await reply.json();
      if (mine !== turn) return;
      since = String(found.version);
      world = found;
      show();
    } catch {
      say("The twin does not answer. Is img-advisor slack --twin still running?");
      await new Promise((done) => setTimeout(done, 1500));
    }
  }
}

const here = () => world.channels.find((each) => each.id === place);
const name = (message) => message.username ?? people.get(message.user) ?? message.user;

// Drawing

function show() {
  me = world.me;
  people.clear();
  for (const one of world.people) people.set(one.id, one.name);
  const asked = expected && here()?.messages.findLast((each) => each.user === me && !each.thread_ts);
  if (asked && here().messages.some((each) => each.thread_ts === asked.ts && each.user === world.bot)) [thread, expected] = [asked.ts, false];
  if (!here()) place = world.channels.find((each) => each.direct)?.id ?? world.channels[0].id;
  showSide();
  showPlace();
  showThread();
  showWindow();
}

function showSide() {
  $("team").textContent = world.team.name;
  const options = world.people.filter((one) => !one.bot);
  if ($("me").dataset.of !== JSON.stringify(options)) {
    $("me").dataset.of = JSON.stringify(options);
    $("me").replaceChildren(...options.map((one) => make("option", { value: one.id, selected: one.id === me }, one.name + (one.admin ? " (admin)" : "") + (one.here ? "" : ` · ${one.team}`))));
  }
  $("me").value = me;
  const line = (each) => make("li", {}, make("button", { type: "button", "aria-current": each.id === place ? "page" : false, onclick: () => go(each.id) },
    make("span", { class: "soft", "aria-hidden": "true" }, each.direct ? "✦" : each.kind === "im" ? "●" : "#"), ` ${each.direct ? world.app : each.name}`));
  const [app, others] = [world.channels.filter((each) => each.direct), world.channels.filter((each) => !each.direct)];
  $("places").replaceChildren(...app.map(line), ...others.map(line));
  $("tools").replaceChildren(...world.shortcuts.filter((each) => each.type === "global").map((each) => make("button", { type: "button", class: "button", onclick: () => act({ do: "shortcut", callback: each.callback_id }) }, `⚡ ${each.name}`)));
  const rows = [...world.calls].reverse().slice(0, 24).map((each) => make("li", { class: each.ok ? "" : "bad" }, `${each.method} ${each.ok ? "✓" : `✗ ${each.error}`}`));
  const times = world.deliveries.map((each) => each.ms).sort((a, b) => a - b), slowest = times.at(-1) ?? 0;
  $("wire").replaceChildren(make("p", { class: "soft small" }, times.length ? `${times.length} deliveries, acknowledged within ${slowest} ms at most.` : "Nothing was delivered yet."), make("ol", {}, rows));
}

function go(id) {
  [place, thread, expected, tab] = [id, "", false, "messages"];
  if (here()?.direct) act({ do: "home", tab });
  show();
  $("main").focus({ preventScroll: true });
}

function showPlace() {
  const at = here();
  $("text").placeholder = at.direct ? "Write a message" : at.kind === "im" ? "Write, or ask with /img" : "Write; @app asks the app, /img for you alone";
  $("title").textContent = at.direct ? world.app : at.kind === "im" ? at.name : `#${at.name}`;
  $("tabs").hidden = !at.direct;
  if (at.direct) {
    const one = (id, label) => make("button", { type: "button", role: "tab", "aria-selected": String(tab === id), onclick: () => { tab = id; act({ do: "home", tab }); show(); } }, label);
    $("tabs").replaceChildren(one("home", "Home"), one("messages", "Messages"));
  }
  const home = at.direct && tab === "home";
  $("home").hidden = !home;
  $("messages").hidden = home;
  $("composer").hidden = home;
  $("prompts").hidden = home;
  if (home) showHome();
  else {
    fill($("messages"), at.messages.filter((each) => !each.thread_ts || each.thread_ts === each.ts || each.is_ephemeral), at, false);
    const wanted = at.direct && at.messages.length === 0 ? at.prompts : null;
    $("prompts").replaceChildren(...(wanted ? [make("p", { class: "soft" }, wanted.title ?? ""), ...wanted.prompts.map((each) => make("button", { type: "button", class: "button", onclick: () => send($("text"), "", each.message) }, each.title))] : []));
  }
}

function showHome() {
  const view = world.home, mark = view ? view.hash : "none";
  if ($("home").dataset.mark === mark + me) return;
  $("home").dataset.mark = mark + me;
  $("home").replaceChildren(...(view ? blocks(view.blocks, context({ view: view.id, fields: [] })) : [make("p", { class: "soft" }, "One moment…")]));
}

const context = (about) => ({
  people, channels: world.channels, feedback, fields: about.fields ?? [], again: () => { drawn.delete($("messages")); show(); },
  pressed: (action) => act({ do: "click", action, ...(about.view ? { view: about.view, values: about.values?.() } : { channel: place, ts: about.ts }) }),
});

/** Puts messages into a list; those that did not change keep their nodes. */
function fill(list, messages, at, inThread) {
  const old = drawn.get(list) ?? new Map(), now = new Map(), scroll = list.closest(".scroll");
  const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 120;
  for (const each of messages) {
    const answers = at.messages.filter((one) => one.thread_ts === each.ts && one.ts !== each.ts && !one.is_ephemeral);
    const status = at.statuses[each.ts] ?? "";
    const mark = JSON.stringify([each, inThread ? 0 : answers.length, answers.some((one) => one.streaming), status, feedback.get(value(each)), me]);
    const kept = old.get(each.ts);
    now.set(each.ts, kept?.mark === mark ? kept : { mark, node: message(each, answers, status, inThread) });
  }
  list.replaceChildren(...[...now.values()].map((each) => each.node));
  drawn.set(list, now);
  if (!messages.length) list.replaceChildren(make("li", { class: "empty soft" }, "Nothing was said here yet."));
  if (atEnd && (!inThread || messages.at(-1)?.user === me)) scroll.scrollTop = scroll.scrollHeight; // an answer is read from its beginning
}

const value = (each) => each.blocks?.find((block) => block.type === "context_actions")?.elements[0]?.positive_button?.value;

function message(each, answers, status, inThread) {
  const mine = each.user === me, app = each.user === world.bot;
  const about = context({ ts: each.ts });
  const text = each.markdown ? markdown(each.markdown) : each.blocks?.length ? [] : [make("p", { dir: "auto" }, ...mrkdwn(each.text, people))];
  const menu = make("details", { class: "menu" }, make("summary", { "aria-label": "More" }, "⋯"), make("div", {},
    inThread || each.is_ephemeral ? null : make("button", { type: "button", onclick: () => { thread = each.ts; show(); $("reply-text").focus(); } }, "Reply in a thread"),
    ...(each.is_ephemeral ? [] : world.shortcuts.filter((one) => one.type === "message").map((one) => make("button", { type: "button", onclick: () => act({ do: "shortcut", callback: one.callback_id, channel: place, ts: each.ts }) }, one.name))),
    mine ? make("button", { type: "button", onclick: () => change(each) }, "Edit") : null,
    mine ? make("button", { type: "button", onclick: () => act({ do: "delete", channel: place, ts: each.ts }) }, "Delete") : null));
  menu.addEventListener("click", (event) => { if (event.target.localName === "button") menu.open = false; });
  const more = answers.length && !inThread ? make("button", { type: "button", class: "button quiet replies", onclick: () => { thread = each.ts; show(); } }, `${answers.length} ${answers.length === 1 ? "reply" : "replies"}${answers.some((one) => one.streaming) ? " · writing…" : ""}`) : null;
  return make("li", { class: `message${app ? " app" : ""}${each.is_ephemeral ? " whisper" : ""}`, "aria-busy": each.streaming ? "true" : false },
    make("span", { class: "face", "aria-hidden": "true" }, app && !each.username ? "✓" : name(each).slice(0, 1)),
    make("div", { class: "said" },
      make("p", { class: "by" }, make("strong", {}, name(each)), app ? make("span", { class: "chip" }, "App") : null, make("time", { class: "soft" }, clock(each.ts)), each.edited && !app ? make("span", { class: "soft" }, "(edited)") : null),
      each.is_ephemeral ? make("p", { class: "soft small" }, "Only you can see this") : null,
      tasks(each), ...text, ...(each.blocks?.length ? blocks(each.blocks, about) : []),
      each.streaming ? make("p", { class: "soft" }, "…") : null, each.wrong ? make("p", { class: "bad" }, `Slack would refuse this: ${each.wrong.join("; ")}`) : null,
      status ? make("p", { class: "soft status" }, `${world.app} is working: ${status}`) : null, more),
    menu);
}

function change(each) {
  const text = window.prompt("Change the message", each.text);
  if (text !== null && text !== each.text) act({ do: "edit", channel: place, ts: each.ts, text });
}

function showThread() {
  const at = here(), root = at.messages.find((each) => each.ts === thread);
  $("thread").hidden = !root || (at.direct && tab === "home");
  if (!root) return;
  fill($("replies"), at.messages.filter((each) => each.ts === thread || each.thread_ts === thread), at, true);
}

// Modals

function showWindow() {
  const view = world.modals.at(-1), box = $("window"), mark = view ? view.id + view.hash : "";
  if (mark === shownWindow) return;
  const same = view && shownWindow.startsWith(view.id), kept = same ? values(box.fields ?? []) : {};
  shownWindow = mark;
  if (!view) { box.close(); box.replaceChildren(); return; }
  const fields = [];
  const about = context({ view: view.id, fields, values: () => values(fields) });
  const form = make("form", { method: "dialog" },
    make("header", { class: "head" }, make("h2", { id: "window-title" }, view.title.text), make("button", { type: "button", class: "button quiet", "aria-label": "Close", onclick: () => close(view) }, "×")),
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": view.title.text }, ...blocks(view.blocks, about)),
    make("footer", {}, make("button", { type: "button", class: "button", onclick: () => close(view) }, view.close?.text ?? "Close"), view.submit ? make("button", { class: "button primary" }, view.submit.text) : null));
  form.addEventListener("submit", (event) => { event.preventDefault(); submit(view, fields, form); });
  for (const { block, element, node } of fields) { // what was typed stays while the app changes the rest
    const before = kept[block.block_id]?.[element.action_id];
    if (before && "value" in before && before.value !== null) node.value = before.value;
    for (const input of node.querySelectorAll?.("input") ?? []) if (before) input.checked = [before.selected_option, ...(before.selected_options ?? [])].some((each) => each?.value === input.value);
    if (before?.selected_option && node.localName === "select") node.value = before.selected_option.value;
  }
  box.fields = fields;
  box.replaceChildren(form);
  if (!box.open) box.showModal();
}

function values(fields) {
  const result = {};
  for (const { block, element, node } of fields) (result[block.block_id] ??= {})[element.action_id] = { type: element.type, ...chosen(element, node) };
  return result;
}

async function submit(view, fields, form) {
  const button = form.querySelector(".primary");
  button.disabled = true;
  const answer = await act({ do: "submit", view: view.id, values: values(fields) });
  button.disabled = false;
  for (const node of form.querySelectorAll(".error")) node.remove();
  for (const [block, text] of Object.entries(answer.errors ?? {})) form.querySelector(`[data-block="${CSS.escape(block)}"]`)?.append(make("p", { class: "error", role: "alert" }, text));
}

const close = (view) => act({ do: "close", view: view.id });
$("window").addEventListener("cancel", (event) => { event.preventDefault(); if (world.modals.length) close(world.modals.at(-1)); });

// Writing

function send(box, under, text = box.value) {
  const said = text.trim();
  if (!said) return;
  const bot = `<@${world.bot}>`;
  if (here().direct && !under && !said.startsWith("/")) expected = true;
  act({ do: "say", channel: place, thread: under, text: said.replaceAll(`@${world.app}`, bot).replace(/(?<![\w@])@app\b/gi, bot) });
  if (text === box.value) box.value = "";
}

for (const [form, box, under] of [["composer", "text", () => ""], ["reply", "reply-text", () => thread]]) {
  $(form).addEventListener("submit", (event) => { event.preventDefault(); send($(box), under()); });
  $(box).addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send($(box), under()); }
  });
}
$("me").addEventListener("change", () => { me = $("me").value; sessionStorage.setItem("me", me); [place, thread, tab] = ["", "", "messages"]; follow(); });
$("close-thread").addEventListener("click", () => { thread = ""; show(); });
follow();
