// Blocks as Slack's reference describes them, as nodes. `pressed(action)` is told of each press and choice.

import { link, make, markdown, mrkdwn, plainText } from "./text.js";

const rich = {
  text: (part) => styled(part.text.split("\n").flatMap((row, at) => (at ? [make("br"), row] : [row])), part.style),
  link: (part) => [link(part.url, part.text)],
  emoji: (part) => [part.name],
  user: (part, people) => [make("span", { class: "mention" }, `@${people.get(part.user_id) ?? part.user_id}`)],
  broadcast: (part) => [make("span", { class: "mention alarm" }, `@${part.range}`)],
};

function styled(nodes, style = {}) {
  let result = nodes;
  for (const [name, tag] of [["bold", "strong"], ["italic", "em"], ["strike", "s"], ["code", "code"]]) if (style[name]) result = [make(tag, {}, ...result)];
  return result;
}

const inner = (elements, people) => elements.flatMap((part) => rich[part.type]?.(part, people) ?? []);

function richPart(part, people) {
  if (part.type === "rich_text_list") {
    return make(part.style === "ordered" ? "ol" : "ul", part.offset ? { start: part.offset + 1 } : {}, part.elements.map((item) => make("li", { dir: "auto" }, ...inner(item.elements, people))));
  }
  const tag = { rich_text_quote: "blockquote", rich_text_preformatted: "pre" }[part.type] ?? "p";
  return make(tag, { dir: "auto" }, ...inner(part.elements, people));
}

const shown = (object, people) => (object.type === "mrkdwn" ? mrkdwn(object.text, people) : [plainText(object)]);

// Elements

function confirmed(element) {
  const asked = element.confirm;
  return !asked || window.confirm(`${plainText(asked.title)}\n\n${asked.text.text}`);
}

function button(element, world) {
  const kind = element.style === "primary" ? "primary" : element.style === "danger" ? "danger" : "";
  const press = () => { if (confirmed(element)) world.pressed({ type: "button", action_id: element.action_id, value: element.value, text: element.text }); };
  if (element.url) return make("a", { class: "button", href: element.url, target: "_blank", rel: "noopener noreferrer", onclick: press }, plainText(element.text), make("span", { class: "away" }, " (opens a new page)"), " ↗");
  return make("button", { type: "button", class: `button ${kind}`, "aria-label": element.accessibility_label, onclick: press }, plainText(element.text));
}

function feedback(element, world) {
  const state = world.feedback.get(element.positive_button.value);
  const label = element.positive_button.accessibility_label ?? "", asked = label.replace(plainText(element.positive_button.text), "").trim();
  return make("span", { class: "feedback", role: "group", "aria-label": asked || "Feedback" }, make("span", { class: "soft small" }, asked), ["positive_button", "negative_button"].map((name) => {
    const half = element[name];
    return make("button", {
      type: "button", class: "button quiet", "aria-label": half.accessibility_label ?? plainText(half.text), "aria-pressed": String(state === name),
      onclick: () => {
        world.feedback.set(element.positive_button.value, name);
        world.pressed({ type: "feedback_buttons", action_id: element.action_id, value: half.value });
        world.again();
      },
    }, plainText(half.text));
  }));
}

function choices(element, world, tell) {
  const kind = element.type;
  if (kind === "radio_buttons" || kind === "checkboxes") {
    const initial = kind === "checkboxes" ? element.initial_options ?? [] : [element.initial_option].filter(Boolean);
    const name = `c${Math.random().toString(36).slice(2)}`;
    return make("span", { class: "choices" }, element.options.map((option) => {
      const on = initial.some((each) => each.value === option.value);
      return make("label", {}, make("input", { type: kind === "checkboxes" ? "checkbox" : "radio", name, value: option.value, checked: on, onchange: tell }), make("span", {}, ...shown(option.text, world.people)));
    }));
  }
  if (kind === "multi_users_select") {
    const initial = element.initial_users ?? [];
    return make("span", { class: "choices", role: "group", "aria-label": plainText(element.placeholder) }, [...world.people].map(([id, name]) => make("label", {},
      make("input", { type: "checkbox", value: id, checked: initial.includes(id), onchange: tell }), make("span", {}, name))));
  }
  const options = kind === "static_select" ? element.options.map((option) => [option.value, plainText(option.text)])
    : kind === "users_select" ? [...world.people].map(([id, name]) => [id, name]) : world.channels.filter((each) => !each.direct).map((each) => [each.id, `#${each.name}`]);
  const initial = element.initial_option?.value ?? element.initial_conversation ?? element.initial_user ?? "";
  const empty = element.initial_option ? null : make("option", { value: "" }, plainText(element.placeholder) || "Choose");
  const select = make("select", { onchange: tell, "aria-label": plainText(element.placeholder) || "Choose" }, empty, options.map(([value, label]) => make("option", { value, selected: value === initial }, label)));
  return select;
}

/** What was chosen, as Slack tells it. */
export function chosen(element, node) {
  const option = (value) => element.options?.find((each) => each.value === value) ?? null;
  switch (element.type) {
    case "radio_buttons": return { selected_option: option(node.querySelector("input:checked")?.value) };
    case "checkboxes": return { selected_options: [...node.querySelectorAll("input:checked")].map((input) => option(input.value)) };
    case "static_select": return { selected_option: node.value ? option(node.value) : null };
    case "multi_users_select": return { selected_users: [...node.querySelectorAll("input:checked")].map((input) => input.value) };
    case "users_select": return { selected_user: node.value || null };
    case "conversations_select": case "channels_select": return { selected_conversation: node.value || null };
    default: return { value: node.value || null };
  }
}

function element(each, world) {
  if (each.type === "button") return button(each, world);
  if (each.type === "feedback_buttons") return feedback(each, world);
  if (each.type === "image") return make("img", { src: each.image_url, alt: each.alt_text });
  const node = choices(each, world, () => world.pressed({ type: each.type, action_id: each.action_id, ...chosen(each, node) }));
  return node;
}

function field(block, world) {
  const each = block.element, id = `f-${block.block_id}-${each.action_id}`, label = plainText(block.label);
  let node;
  if (each.type === "plain_text_input" || each.type === "number_input") {
    node = make(each.multiline ? "textarea" : "input", { id, dir: "auto", maxlength: each.max_length, placeholder: plainText(each.placeholder) || false, rows: each.multiline ? 7 : false });
    node.value = each.initial_value ?? "";
  } else {
    node = choices(each, world, () => {});
    node.id = id;
    if (node.localName === "span") { node.setAttribute("role", "group"); node.setAttribute("aria-label", label); }
  }
  world.fields.push({ block, element: each, node });
  const heading = node.localName === "span" ? make("p", { class: "label" }, label) : make("label", { class: "label", for: id }, label);
  if (block.optional) heading.append(make("span", { class: "soft" }, " (optional)"));
  return make("div", { class: "field", "data-block": block.block_id }, heading, node, block.hint ? make("p", { class: "soft small" }, plainText(block.hint)) : null);
}

const draw = {
  divider: () => make("hr"),
  header: (block) => make("h3", { dir: "auto" }, plainText(block.text)),
  section: (block, world) => make("div", { class: "section" },
    make("div", { class: "grow", dir: "auto" }, ...(block.text ? shown(block.text, world.people) : []), ...(block.fields ?? []).map((each) => make("p", {}, ...shown(each, world.people)))),
    block.accessory ? element(block.accessory, world) : null),
  context: (block, world) => make("div", { class: "context" }, block.elements.map((each) => (each.type === "image" ? element(each, world) : make("p", { dir: "auto" }, ...shown(each, world.people))))),
  actions: (block, world) => make("div", { class: "actions" }, block.elements.map((each) => element(each, world))),
  context_actions: (block, world) => make("div", { class: "actions" }, block.elements.map((each) => element(each, world))),
  rich_text: (block, world) => make("div", { class: "rich" }, block.elements.map((part) => richPart(part, world.people))),
  markdown: (block) => make("div", { class: "rich" }, ...markdown(block.text)),
  input: (block, world) => field(block, world),
  table: (block, world) => {
    const cell = (each, tag) => make(tag, { dir: "auto", scope: tag === "th" ? "col" : false }, ...(each.type === "raw_text" ? [each.text] : each.elements.map((part) => richPart(part, world.people))));
    const [head, ...rows] = block.rows;
    return make("div", { class: "table", role: "region", "aria-label": "Table", tabindex: "0" }, make("table", {},
      make("thead", {}, make("tr", {}, head.map((each) => cell(each, "th")))), make("tbody", {}, rows.map((row) => make("tr", {}, row.map((each) => cell(each, "td")))))));
  },
};

export const blocks = (list, world) => list.map((block) => draw[block.type]?.(block, world) ?? make("p", { class: "soft" }, `(${block.type})`));

const SIGNS = { pending: "○", in_progress: "◔", complete: "✓", error: "!" };

/** The task cards of a stream. */
export function tasks(message) {
  const cards = Object.values(message.tasks ?? {});
  if (!cards.length) return null;
  return make("ul", { class: "tasks", "aria-label": message.plan ?? "Steps" }, cards.map((card) => make("li", { class: card.status },
    make("span", { class: "sign", "aria-label": card.status.replace("_", " ") }, SIGNS[card.status]), make("span", {}, card.title),
    card.details || card.output ? make("span", { class: "soft" }, ` ${card.details ?? card.output}`) : null,
    card.sources?.length ? make("span", { class: "chips" }, card.sources.map((source) => link(source.url, source.text))) : null)));
}
