// The public API, as the chat uses it.

export const SITE = document.body.dataset.site; // the site around the frame; "": this server
const API = "/api/v1";
const KEY = `img-advisor-conversation${SITE && ` ${SITE}`}`;
const RECONNECTS = 4, SILENT_MS = 25_000, POLL_MS = 1_500, POLLS = 40;

/** The server said no, and why. */
export class Trouble extends Error {
  constructor(problem) { super(problem.detail); this.problem = problem; }
}

/** The server was not reached, or the connection broke. */
export class Dropped extends Error {}

/** The person stopped it. */
export class Stopped extends Error {}

/** What may work in a moment. */
const lost = (error) => error instanceof Dropped || (error instanceof Trouble && [502, 503, 504].includes(error.problem.status));

export const gone = (error) => error instanceof Trouble && [401, 403, 404].includes(error.problem.status);

// The conversation, kept for this tab only: {id, token}

let conversation = recall();

function recall() {
  try { return JSON.parse(sessionStorage.getItem(KEY)); } catch { return null; }
}

export function remember(value) {
  conversation = value;
  try {
    if (value) sessionStorage.setItem(KEY, JSON.stringify(value));
    else sessionStorage.removeItem(KEY);
  } catch { /* storage is blocked: the conversation lasts as long as the page */ }
}

export const current = () => conversation;

export async function call(method, path, body, { headers = {}, signal } = {}) {
  let response;
  try {
    response = await fetch(API + path, {
      method, signal,
      headers: {
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(conversation ? { Authorization: `Bearer ${conversation.token}` } : {}),
        ...(SITE ? { "Advisor-Site": SITE } : {}),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw signal?.aborted ? new Stopped() : new Dropped();
  }
  if (response.ok || response.status === 304) return response;
  let problem = {};
  try { problem = await response.json(); } catch { /* a proxy's page */ }
  throw new Trouble({ status: response.status, ...problem, detail: problem.detail || "" });
}

/** A call about this conversation; `path` begins behind its id. */
export const here = (method, path = "", body, more) => call(method, `/conversations/${conversation.id}${path}`, body, more);

export async function begin() {
  if (!conversation) remember(await (await call("POST", "/conversations")).json());
}

/** Asks, and calls on[event](data) for each event. A stream that breaks off is taken up again; where none comes, the conversation is read. */
export async function ask(question, { language, signal, again }, on) {
  // Asked again, the server gives the answer it may have by now.
  let lastId = null, reached = false, tries = 0;
  for (;;) {
    try {
      const from = lastId || (again ? "again" : null);
      const headers = { Accept: "text/event-stream", ...(from ? { "Last-Event-ID": from } : {}) };
      const response = await here("POST", "/messages", { text: question, ...(language ? { language } : {}) }, { headers, signal });
      reached = true;
      for await (const event of events(response.body, signal)) {
        tries = 0;
        lastId = event.id || lastId;
        if (on[event.name]) on[event.name](JSON.parse(event.data));
        if (event.name === "answer" || event.name === "error") return;
      }
      throw new Dropped();
    } catch (error) {
      if (!reached || !lost(error)) throw error;
      if (!lastId || tries >= RECONNECTS) return poll(question, signal, on);
      on.dropped();
      await pause(500 * 2 ** tries++, signal);
    }
  }
}

/** Reads the conversation until the question, its last one, has an answer. */
export async function poll(question, signal, on) {
  let strange = 0; // readings in which the question was not there: it never reached the server
  for (let left = POLLS; left && strange < 4; left--) {
    try {
      const { turns } = await (await here("GET", "", undefined, { signal })).json();
      const at = turns.findLastIndex((turn) => turn.role === "user");
      if (at >= 0 && turns[at].text.trim() === question.trim()) {
        const answer = turns.slice(at + 1).find((turn) => turn.role === "assistant");
        if (answer) return on.answer(answer.answer);
      } else strange++;
    } catch (error) {
      if (!lost(error)) throw error;
    }
    on.dropped();
    await pause(POLL_MS, signal);
  }
  throw new Dropped();
}

function pause(ms, signal) {
  return new Promise((done, stop) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", () => { clearTimeout(timer); stop(new Stopped()); }, { once: true });
  });
}

async function* events(body, signal) {
  const reader = body.getReader(), decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    let part, timer;
    try {
      part = await Promise.race([reader.read(), new Promise((_, late) => { timer = setTimeout(late, SILENT_MS); })]);
    } catch {
      reader.cancel().catch(() => {});
      throw signal?.aborted ? new Stopped() : new Dropped();
    } finally {
      clearTimeout(timer);
    }
    if (part.done) return;
    const blocks = (rest + decoder.decode(part.value, { stream: true })).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = { id: "", name: "message", data: "" };
      for (const line of block.split("\n")) {
        if (line.startsWith("id: ")) event.id = line.slice(4);
        else if (line.startsWith("event: ")) event.name = line.slice(7);
        else if (line.startsWith("data: ")) event.data += line.slice(6);
      }
      if (event.data) yield event;
    }
  }
}
