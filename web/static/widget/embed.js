// The widget's loader: a button or a place on the page, and the chat in a frame. See web/widget.py.
(() => {
  "use strict";
  const script = document.currentScript || document.querySelector('script[src*="/widget/embed.js"]');
  const home = new URL(script.src).origin, page = document.documentElement;
  const WORDS = {
    en: ["Ask IMG Advisor", "The chat cannot be reached right now."],
    es: ["Preguntar a IMG Advisor", "Ahora no se puede conectar con el chat."],
    pt: ["Perguntar ao IMG Advisor", "Não é possível conectar ao chat agora."],
    fr: ["Demander à IMG Advisor", "Le chat est injoignable pour le moment."],
    ru: ["Спросить IMG Advisor", "Чат сейчас недоступен."],
    ar: ["اسأل IMG Advisor", "لا يمكن الوصول إلى المحادثة الآن."],
    ur: ["IMG Advisor سے پوچھیں", "اس وقت چیٹ تک رسائی نہیں۔"],
    hi: ["IMG Advisor से पूछें", "चैट अभी उपलब्ध नहीं है।"],
    zh: ["询问 IMG Advisor", "目前无法连接对话。"],
    fil: ["Magtanong sa IMG Advisor", "Hindi maabot ang chat ngayon."],
  };
  const CSS = `
:host{all:initial!important;position:fixed!important;z-index:2147483000!important}
:host([inline]){display:block!important;position:relative!important;z-index:0!important;height:100%!important;min-height:480px!important}
*{box-sizing:border-box;font:16px/1.5 system-ui,sans-serif}
.launch{position:fixed;bottom:calc(var(--e) + env(safe-area-inset-bottom));inset-inline-end:var(--e);display:flex;align-items:center;gap:10px;height:56px;padding:0 15px;border:1px solid transparent;border-radius:28px;background:var(--a);color:var(--i);cursor:pointer;box-shadow:0 4px 20px #0004}
.launch span{font-weight:600}
:focus-visible{outline:3px solid var(--a);outline-offset:3px;box-shadow:0 0 0 3px #fff}
svg{width:24px;fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
b{position:absolute;top:-4px;inset-inline-end:-4px;padding:0 7px;border-radius:12px;background:#a12626;color:#fff}
.panel{position:fixed;inset:auto;bottom:calc(var(--e) + 70px + env(safe-area-inset-bottom));inset-inline-end:var(--e);margin:0;padding:0;width:min(408px,100vw - 2*var(--e));height:min(680px,100vh - 90px - 2*var(--e));max-width:none;max-height:none;border:1px solid #7774;border-radius:16px;box-shadow:0 12px 48px #0004}
.panel,.place{overflow:hidden;background:Canvas;color:CanvasText}
.left>*{inset-inline:auto!important;left:var(--e)!important}
.right>*{inset-inline:auto!important;right:var(--e)!important}
div>.full{inset:0!important;width:100%;height:100%;border:0;border-radius:0}
div>.place{position:absolute;inset:0!important;border:1px solid #7774;border-radius:12px}
iframe{display:block;width:100%;height:100%;border:0}
.note{position:absolute;inset:0;padding:24px;display:grid;place-content:center;gap:12px;text-align:center}
a{color:inherit}
[hidden]{display:none!important}
@media(prefers-reduced-motion:no-preference){.panel{animation:r .18s}}
@keyframes r{from{opacity:0;transform:translateY(8px)}}
@media(forced-colors:active){.launch{border-color:CanvasText}}
@media print{:host{display:none!important}}`;

  const make = (tag, attributes, ...children) => {
    const node = /svg|path/.test(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const name in attributes) node.setAttribute(name, attributes[name]);
    node.append(...children);
    return node;
  };
  const text = (value, most) => String(value ?? "").slice(0, most);

  const inkOn = (hex) => {
    const [r, g, b] = hex.match(hex.length < 5 ? /\w/g : /\w\w/g).map((part) => (parseInt(part.length < 2 ? part + part : part, 16) / 255) ** 2.2);
    return 0.21 * r + 0.72 * g + 0.07 * b > 0.18 ? "#000" : "#fff";
  };

  const add = (given) => {
    widgets.forEach((widget, name) => widget.host.isConnected || widgets.delete(name));
    const options = { theme: "auto", ...given }, place = options.target && document.querySelector(options.target);
    const name = text(options.name, 40) || (widgets.size ? `chat-${widgets.size + 1}` : "chat");
    if (place === null || widgets.has(name)) return console.warn(`IMG Advisor: no ${options.target}, or two ${name}`);

    const host = make("div"), root = host.attachShadow({ mode: "open" }), sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
    root.adoptedStyleSheets = [sheet];
    const phone = matchMedia("(max-width: 30rem), (max-height: 26rem)"), night = matchMedia("(prefers-color-scheme: dark)");
    const path = make("path"), label = make("span"), badge = make("b");
    const launch = make("button", { class: "launch", type: "button", "aria-haspopup": "dialog" },
      make("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, path), label, badge);
    const said = make("span", { role: "status" }), away = make("a", { target: "_blank", rel: "noopener" });
    const note = make("div", { class: "note", hidden: "" }, said, away);
    const panel = make(place ? "div" : "dialog", { class: place ? "place" : "panel", "aria-label": "IMG Advisor" }, note);
    const box = make("div", {}, ...(place ? [panel] : [launch, panel]));
    let frame, ready, failed, timer, opener, asked, shown = !!place, overflow, unread = 0;

    const language = () => text(options.lang || page.lang || navigator.language, 20);
    const looks = () => ({ lang: language(), theme: options.theme, accent: options.accent, greeting: text(options.greeting, 300), inline: !!place });
    const tell = (type, more) => ready && frame.contentWindow.postMessage({ imgAdvisor: 1, type, ...more }, home);

    const pass = () => { if (asked && ready) asked = tell("ask", { text: asked }); };

    const draw = () => {
      const lang = language(), [ask, lost] = WORDS[lang.split("-")[0].toLowerCase()] || WORDS.en;
      const dark = options.theme === "dark" || (options.theme !== "light" && night.matches);
      if (!/^#([0-9a-f]{3}){1,2}$/i.test(options.accent)) options.accent = "";
      const set = (part, value) => host.style.setProperty(part, value);
      set("--a", options.accent || (dark ? "#7fd0cb" : "#0e5c63"));
      set("--i", options.accent ? inkOn(options.accent) : dark ? "#0c2426" : "#fff");
      set("--e", `${Math.min(Math.max(parseInt(options.offset, 10) || 20, 8), 200)}px`);
      panel.style.colorScheme = dark ? "dark" : "light";
      box.className = options.position || "";
      box.lang = lang;
      note.dir = label.dir = /^(ar|ur|fa|he)\b/i.test(lang) ? "rtl" : "ltr";
      label.hidden = !(label.textContent = text(options.label, 40)) || shown;
      badge.hidden = !(badge.textContent = unread || "");
      launch.setAttribute("aria-label", [options.label, ask, badge.textContent].filter(Boolean).join(" · "));
      launch.setAttribute("aria-expanded", shown);
      path.setAttribute("d", shown ? "M6 6l12 12M18 6L6 18" : "M4 5.5h16v11H10l-4.5 4v-4H4z");
      said.textContent = lost;
      away.textContent = `${ask} ↗`;
      away.href = `${home}/widget/frame?lang=${lang}`;
    };

    const fail = () => {
      if (ready) return;
      failed = frame.hidden = true;
      note.hidden = false;
    };
    const load = () => {
      if (frame && !failed) return;
      frame?.remove();
      failed = false;
      note.hidden = true;
      const query = new URLSearchParams({ lang: language(), theme: options.theme, widget: name }), site = options.site || location.origin;
      if (site !== home) query.set("site", site);
      frame = make("iframe", { title: "IMG Advisor", allow: "clipboard-write", loading: place ? "lazy" : "eager", src: `${home}/widget/frame?${query}` });
      frame.onload = () => { timer = setTimeout(fail, 4000); };
      timer = setTimeout(fail, 20000);
      panel.append(frame);
    };

    // On a phone the chat is the whole screen, and ends above the keyboard.
    const fit = () => {
      const view = shown && phone.matches && visualViewport;
      panel.style.height = view ? `${view.height}px` : "";
      panel.style.top = view ? `${view.offsetTop}px` : "";
    };
    const show = () => {
      panel.classList.toggle("full", phone.matches);
      if (phone.matches) {
        panel.showModal();
        overflow = page.style.overflow;
        page.style.overflow = "hidden";
      } else panel.show();
      fit();
    };
    const hide = () => {
      if (panel.matches(".full")) page.style.overflow = overflow;
      panel.close();
    };

    const widget = {
      host, floating: !place,
      open() {
        load();
        if (!shown) {
          opener = document.activeElement;
          shown = true;
          unread = 0;
          show();
          draw();
          emit("open");
        }
        tell("open");
        frame.focus();
      },
      close() {
        if (place || !shown) return;
        const within = [host, document.body].includes(document.activeElement);
        shown = false;
        hide();
        fit();
        draw();
        tell("close");
        if (within) ([host, document.body].includes(opener) || !opener.isConnected ? launch : opener).focus();
        emit("close");
      },
      ask(question) {
        asked = text(question, 8000);
        widget.open();
        pass();
      },
      reset: () => tell("reset"),
      set(more) {
        Object.assign(options, more);
        draw();
        tell("options", { options: looks() });
      },
    };
    const emit = (type, more) => listeners[type]?.forEach((listener) => {
      try { listener({ type, widget: name, ...more }); } catch (error) { console.error(error); }
    });

    addEventListener("message", ({ origin, source, data }) => {
      if (!frame || origin !== home || source !== frame.contentWindow || data?.imgAdvisor !== 1) return;
      if (data.type === "ready") {
        clearTimeout(timer);
        ready = note.hidden = true;
        failed = frame.hidden = false;
        if (root.activeElement === frame) frame.blur(), frame.focus();
        tell("init", { widget: name, options: looks(), open: shown && !place });
        pass();
        emit("ready");
      } else if (data.type === "close") widget.close();
      else if (data.type === "unread") {
        unread = shown ? 0 : Math.min(data.count >>> 0, 99);
        draw();
        emit("unread", { count: unread });
      } else if (/^(question|answer)$/.test(data.type)) emit(data.type, { id: text(data.id, 64), status: text(data.status, 20) });
    });
    night.addEventListener("change", draw);
    if (place) {
      host.setAttribute("inline", "");
      load();
    } else {
      launch.addEventListener("click", () => (shown ? widget.close() : widget.open()));
      launch.addEventListener("pointerenter", load, { once: true });
      box.addEventListener("keydown", (event) => { if (event.key === "Escape") widget.close(); });
      panel.addEventListener("cancel", (event) => { event.preventDefault(); widget.close(); });
      phone.addEventListener("change", () => { if (shown) { hide(); show(); frame.focus(); } });
      for (const change of ["resize", "scroll"]) visualViewport?.addEventListener(change, fit);
    }
    draw();
    root.append(box);
    widgets.set(name, widget);
    (place || document.body).append(host);
  };

  // A second script tag adds its chat to the API of the first.
  const known = window.IMGAdvisor, widgets = new Map(), listeners = {}, queue = Array.isArray(known) ? known : [];
  const of = (name) => widgets.get(name) || [...widgets.values()].sort((a, b) => b.floating - a.floating)[0];
  const api = known?.add ? known : {
    add(options) {
      add(options);
      queue.splice(0).forEach(api.push);
    },
    push: (call) => (widgets.size ? api[call[0]](...call.slice(1)) : queue.push(call)),
    ask: (question, name) => of(name).ask(question),
    set: (looks, name) => of(name).set(looks),
    on: (type, listener) => { (listeners[type] ||= new Set()).add(listener); },
    off: (type, listener) => { listeners[type]?.delete(listener); },
  };
  for (const method of ["open", "close", "reset"]) api[method] ||= (name) => of(name)[method]();
  window.IMGAdvisor = api;
  const start = () => api.add({ ...script.dataset });
  if (document.body && (!script.dataset.target || document.readyState !== "loading")) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
