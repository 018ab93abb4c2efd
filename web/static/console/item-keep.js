// Keeps what is typed: at once in this browser, a moment later on the server, and says which.
const REST_MS = 1500; // after the last key
const AGAIN_MS = 4000; // after a save that failed

export class Keeper {
  constructor(parts) {
    Object.assign(this, parts);
    this.base = this.editor.elements.base;
    this.saved = this.text.value; // as the server has it
    this.line = document.getElementById("saved");
    this.slot = `img-advisor-draft:${this.desk.dataset.draft}`;
    this.stopped = false; // two texts: the advisor has to choose first
    this.running = null;
    this.timer = 0;
  }

  /** What an earlier visit could not save is offered again. */
  begin() {
    let left = null;
    try {
      left = JSON.parse(localStorage.getItem(this.slot));
    } catch {
      /* no storage here */
    }
    if (!left || left.me !== this.desk.dataset.me || left.text === this.saved) return this.forget();
    if (left.base === this.base.value) {
      this.text.value = left.text;
      this.text.dispatchEvent(new Event("input", { bubbles: true }));
      this.say("What you typed before is back.");
      return;
    }
    const kept = document.getElementById("kept");
    kept.hidden = false;
    kept.querySelector("span").textContent = "There is a text of yours in this browser that was not saved.";
    kept.querySelector("[data-take]").addEventListener("click", () => {
      this.text.value = left.text;
      this.text.dispatchEvent(new Event("input", { bubbles: true }));
      kept.hidden = true;
    });
    kept.querySelector("[data-drop]").addEventListener("click", () => {
      kept.hidden = true;
      this.forget();
    });
  }

  changed() {
    this.keepHere();
    clearTimeout(this.timer);
    if (!this.stopped) this.timer = setTimeout(() => this.save(), REST_MS);
  }

  keepHere() {
    const left = { text: this.text.value, base: this.base.value, me: this.desk.dataset.me };
    try {
      localStorage.setItem(this.slot, JSON.stringify(left));
    } catch {
      /* full or forbidden: the server has to do */
    }
  }

  forget() {
    try {
      localStorage.removeItem(this.slot);
    } catch {
      /* nothing was kept */
    }
  }

  /** One save at a time; what is typed meanwhile is saved after it. */
  async save() {
    clearTimeout(this.timer);
    if (this.running) return this.running;
    if (this.text.value === this.saved) {
      this.forget();
      this.say("Saved");
      return undefined;
    }
    this.running = this.saveNow();
    try {
      await this.running;
    } finally {
      this.running = null;
    }
    if (!this.stopped && this.text.value !== this.saved && !this.failed) this.changed();
    return undefined;
  }

  async saveNow() {
    const now = this.text.value;
    this.say("Saving…");
    try {
      const done = await this.ask("/save", this.typed());
      this.base.value = done.version;
      this.saved = now;
      this.count(done.version);
      this.failed = false;
      if (this.text.value === now) this.forget();
      this.say(`Saved ${new Date(done.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`);
    } catch (error) {
      this.failed = true;
      this.sayWhy(error);
    }
  }

  count(version) {
    const state = document.getElementById("state");
    state.textContent = "Edited"; // what was approved is not what stands there now
    state.className = "badge";
    if (state.nextElementSibling.id !== "version") state.nextElementSibling.remove();
    document.getElementById("version").textContent = `Version ${version}`;
    document.querySelector("#versions summary").textContent = `${version} version${version > 1 ? "s" : ""}`;
  }

  sayWhy(error) {
    const again = () => { this.timer = setTimeout(() => this.save(), AGAIN_MS); };
    if (error.status === 409 && error.body.theirs) {
      this.stopped = true;
      this.showBoth(error.body);
    } else if (error.status === 401 || error.status === 403) {
      this.say("Your session has ended. What you type is kept in this browser. ", "bad", "Sign in in a new tab");
      this.waitForSession();
    } else if (error.status === 0) {
      this.say("No connection. What you type is kept in this browser; it is saved as soon as the server answers.", "bad");
      again();
    } else if (error.status >= 500) {
      this.say("Not saved: the server has a problem. What you type is kept in this browser; trying again.", "bad");
      again();
    } else {
      this.say(`Not saved: ${error.message} What you type is kept in this browser.`, "bad");
    }
  }

  async waitForSession() {
    if (this.waiting) return;
    this.waiting = true;
    while (!(await this.renew())) await new Promise((done) => { setTimeout(done, 2000); });
    this.waiting = false;
    this.save();
  }

  /** Somebody saved meanwhile: theirs holds, mine is kept beside; nothing goes on by itself. */
  showBoth(both) {
    const kept = document.getElementById("kept");
    kept.hidden = false;
    kept.querySelector("span").textContent =
      `${both.theirs.author} has saved this draft while you were writing. Both texts are kept: theirs holds, yours is version ${both.mine.version}.`;
    const take = kept.querySelector("[data-take]");
    const drop = kept.querySelector("[data-drop]");
    take.textContent = "Save mine over it";
    drop.textContent = "Go on with theirs";
    const go = (value) => {
      kept.hidden = true;
      this.stopped = false;
      this.base.value = both.theirs.version;
      this.saved = both.theirs.text;
      this.text.value = value;
      this.text.dispatchEvent(new Event("input", { bubbles: true }));
      if (value === this.saved) this.forget();
      this.save();
    };
    take.onclick = () => go(this.text.value);
    drop.onclick = () => go(both.theirs.text);
    this.say("Not saved: two texts. Choose above.", "bad");
    kept.scrollIntoView({ block: "nearest" });
  }

  /** Waits until nothing is under way. */
  async settle() {
    clearTimeout(this.timer);
    if (this.running) await this.running;
  }

  leave() {
    clearTimeout(this.timer);
  }

  say(words, level = "", link = "") {
    this.line.className = `small end ${level}`;
    this.line.textContent = words;
    if (link) {
      const to = document.createElement("a");
      to.href = "/console/login?next=/console/account";
      to.target = "_blank";
      to.rel = "noopener";
      to.textContent = link;
      this.line.append(to);
    }
  }
}
