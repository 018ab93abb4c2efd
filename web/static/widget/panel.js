// What opens over the conversation: what is known about the applicant, and the way to a human advisor.

import { begin, current, gone, here } from "./api.js";
import { announce, by, button, make } from "./page.js";
import { t } from "./words.js";

const FIELDS = {
  graduation_year: { type: "number", min: 1950, max: 2040 }, medical_school_country: {}, citizenship: {}, degree_path: {},
  us_work_authorization: { choice: true }, visa_needed: { choice: true },
  step1: {}, step2ck: { type: "number", min: 1, max: 300 }, step3: { type: "number", min: 1, max: 300 },
  attempts: { type: "number", min: 0, max: 20 }, usce_months: { type: "number", min: 0, max: 240, step: "0.5" },
  specialties: { list: true }, states: { list: true },
};

const panel = by("panel");

function show(title, ...content) {
  panel.replaceChildren(
    make("div", { class: "panel-head" }, make("h2", { id: "panel-title" }, title), button("×", () => panel.close(), { class: "close", "aria-label": t("close") })),
    ...content);
  panel.showModal();
}

/** Says in the form what went wrong: nothing that was typed is lost. */
function form(onsubmit, ...content) {
  const trouble = make("p", { class: "trouble", role: "alert", hidden: true });
  const node = make("form", { onsubmit: async (event) => {
    event.preventDefault();
    const press = node.querySelector("[type=submit]");
    press.disabled = true;
    trouble.hidden = true;
    try { await onsubmit(new FormData(node)); } catch (error) {
      trouble.textContent = error.message || t("unreachable");
      trouble.hidden = false;
    }
    press.disabled = false;
  } }, ...content.slice(0, -1), trouble, content.at(-1));
  return node;
}

// The profile

/** A field's value as one types it; attempts by exam as their sum. */
function typed(value) {
  if (Array.isArray(value)) return value.join(", ");
  return String(typeof value === "object" && value ? Object.values(value).reduce((sum, n) => sum + n, 0) : value ?? "");
}

function input(name, value) {
  const { choice, list, ...more } = FIELDS[name], id = `field-${name}`;
  const control = choice
    ? make("select", { id, name }, [["", "notSaid"], ["true", "yes"], ["false", "no"]].map(([key, words]) =>
      make("option", { value: key, selected: String(value ?? "") === key }, t(words))))
    : make("input", { id, name, value: typed(value), dir: "auto", autocomplete: "off", maxlength: more.type ? null : "300", ...more });
  return make("p", {}, make("label", { for: id }, t(`profile_${name}`)), control);
}

function value(name, said) {
  const { choice, list, type } = FIELDS[name];
  if (list) return said.split(/[,;،、]/).map((part) => part.trim()).filter(Boolean);
  return choice ? said === "true" : type === "number" ? Number(said) : said;
}

export async function editProfile() {
  let known = {};
  try {
    if (current()) known = (await (await here("GET")).json()).profile || {};
  } catch (error) {
    if (!gone(error)) return show(t("profile"), make("p", { class: "trouble", role: "alert" }, error.message || t("unreachable")));
  }
  const store = async (profile) => {
    await begin();
    await here("PUT", "/profile", profile);
    panel.close();
    announce(t("saved"));
  };
  show(t("profile"), make("p", { class: "quiet" }, t("profileNote")),
    form((data) => store(Object.fromEntries(Object.keys(FIELDS).map((name) => [name, data.get(name).trim()]).filter(([, said]) => said)
      .map(([name, said]) => [name, said === typed(known[name]) ? known[name] : value(name, said)]))),
    make("div", { class: "fields" }, Object.keys(FIELDS).map((name) => input(name, known[name]))),
    make("p", { class: "actions" }, make("button", { type: "submit", class: "main-button" }, t("save")),
      button(t("clear"), () => store({}).catch((error) => announce(error.message || t("unreachable"))), { class: "quiet-button" }))));
}

// A human advisor

export function askAdvisor(reason, done) {
  const within = document.body.dataset.replyWithin;
  show(t("advisor"), make("p", {}, t("advisorShared")), make("p", {}, within ? t("advisorWithin", { time: within }) : t("advisorWhenever")),
    form(async (data) => {
      await begin();
      const more = data.get("reason").trim();
      const handoff = await (await here("POST", "/handoff", { reason: more || reason || t("advisorAsked") })).json();
      panel.close();
      done(handoff);
    },
    make("p", {}, make("label", { for: "advisor-reason" }, t("advisorWhat")),
      make("textarea", { id: "advisor-reason", name: "reason", rows: "3", maxlength: "2000", dir: "auto" })),
    make("p", { class: "actions" }, make("button", { type: "submit", class: "main-button" }, t("advisorSend")),
      button(t("cancel"), () => panel.close(), { class: "quiet-button" }))));
}

export function stateOf(handoff) {
  if (!handoff || handoff.state === "offered") return "";
  const time = handoff.reply_within ? ` ${t("advisorWithin", { time: handoff.reply_within })}` : "";
  return {
    requested: t("advisorWaiting") + time,
    assigned: (handoff.advisor ? t("advisorAssigned", { name: handoff.advisor }) : t("advisorWaiting")) + time,
    answered: t("advisorAnswered"), closed: t("advisorClosed"),
  }[handoff.state] || "";
}

panel.addEventListener("click", (event) => { if (event.target === panel) panel.close(); }); // beside it
