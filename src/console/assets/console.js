// What pages need beyond HTML: live sections, times in the reader's zone, keys, menus, and the state of forms.
// No page needs it to read or to act; without it nothing updates by itself.
"use strict";
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

  // Times: the server writes UTC, the reader sees the own zone. The exact time is in the title.
  const FORMS = {
    clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    minute: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    tick: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    date: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  };
  const formats = new Map(Object.entries(FORMS).map(([name, form]) => [name, new Intl.DateTimeFormat("en-GB", form)]));
  const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });
  function localize(root) {
    for (const time of $$("[data-time]", root)) {
      const at = new Date(time.getAttribute("datetime") ?? time.dataset.at);
      if (Number.isNaN(at.getTime())) continue;
      // A time of another day needs its date; a tick of a chart has its neighbours.
      const { time: wanted } = time.dataset, isToday = at.toDateString() === new Date().toDateString();
      const name = wanted === "tick" || isToday ? wanted : "date";
      time.textContent = (formats.get(name) ?? formats.get("date")).format(at);
      if (time.localName === "time") time.title = `${exact.format(at)} (${at.toISOString()})`;
    }
  }

  // Live sections: kept as the server last sent them. No connection while the page is hidden.
  const lamp = $("#lamp");
  let source = null, heardAtMs = Date.now(), openedAtMs = 0, isSignedOut = false;
  const isStale = () => Date.now() - heardAtMs > 8_000;
  function showLamp() {
    if (!lamp || !document.body.dataset.live) return;
    const stale = isSignedOut || isStale();
    document.body.classList.toggle("stale", stale);
    lamp.className = stale ? "lamp off" : "lamp";
    const since = formats.get("clock").format(new Date(heardAtMs));
    $("span", lamp).textContent = isSignedOut
      ? "signed out: log in again"
      : stale
      ? `as of ${since}, reconnecting`
      : "live";
  }
  // What the reader has unfolded stays so, and a form that is being sent, and what it was answered until it acts otherwise.
  const KEEPING = {
    beforeAttributeUpdated: (name, node) => name !== "open" || node.localName !== "details",
    beforeNodeMorphed: (old, fresh) => {
      if (old.localName === "form" && old.getAttribute("action") !== fresh.getAttribute?.("action")) {
        $(".answer", old)?.replaceChildren();
        return true;
      }
      return !old.matches?.("form.htmx-request, form > .answer:not(:empty)");
    },
  };
  function morph(id, html) {
    const old = document.getElementById(id);
    if (!old) return;
    const template = document.createElement("template");
    template.innerHTML = html;
    localize(template.content);
    Idiomorph.morph(old, template.content, { morphStyle: "innerHTML", ignoreActiveValue: true, callbacks: KEEPING });
    htmx.process(old);
    // A source that is new to the page has no sheets here.
    const opens = $$("[popovertarget]", old).map((button) => button.getAttribute("popovertarget"));
    if (opens.some((sheet) => !document.getElementById(sheet)) && !$("[popover]:popover-open")) location.reload();
  }
  function close() {
    source?.close();
    source = null;
  }
  function open() {
    const path = document.body.dataset.live;
    if (!path || document.hidden || source) return;
    const opened = source = new EventSource(path);
    openedAtMs = Date.now();
    opened.addEventListener("sections", (event) => {
      heardAtMs = Date.now();
      for (const [id, html] of Object.entries(JSON.parse(event.data))) morph(id, html);
      showLamp();
    });
    opened.addEventListener("beat", () => {
      heardAtMs = Date.now();
      showLamp();
    });
    opened.addEventListener("moved", () => location.reload());
    opened.onerror = () => {
      // The browser retries by itself unless the answer was an error: then the session may be over, or the places are taken.
      if (opened.readyState !== EventSource.CLOSED) return;
      close();
      fetch(path, { method: "HEAD", redirect: "manual" }).then(({ status, type }) => {
        isSignedOut = status === 401 || type === "opaqueredirect";
      }).catch(() => {}).finally(() => {
        showLamp();
        if (!isSignedOut) setTimeout(open, Math.min(30_000, retryMs *= 2));
      });
    };
    opened.onopen = () => retryMs = 1_000;
  }
  let retryMs = 1_000;
  document.addEventListener("visibilitychange", () => document.hidden ? close() : open());
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && open());
  // After a sleep of the computer, a connection may be dead without an error.
  function watch() {
    showLamp();
    if (!source || !isStale() || Date.now() - openedAtMs < 15_000) return;
    close();
    open();
  }
  setInterval(watch, 1_000);

  // Parts that take long come in steps: markup for an element, instead of what is in it or behind that.
  function follow(part) {
    const steps = new EventSource(part.dataset.stream);
    const end = (state) => {
      steps.close();
      part.dataset.state = state;
    };
    part.dataset.state = "running";
    steps.addEventListener("steps", (event) => {
      for (const { id, how, html } of JSON.parse(event.data)) {
        const element = document.getElementById(id), template = document.createElement("template");
        if (!element) continue;
        template.innerHTML = html;
        localize(template.content);
        if (how === "set") element.replaceChildren();
        element.append(template.content);
        htmx.process(element);
      }
      countSelected();
    });
    steps.addEventListener("end", () => end("done"));
    steps.onerror = () => end("lost");
    $("[data-stop]", part)?.addEventListener("click", () => end("stopped"));
    addEventListener("pagehide", () => end("stopped"));
  }

  // Selected messages: the count, and the box in the head of the table.
  function countSelected() {
    const boxes = $$("input[name=ids]"), chosen = boxes.filter((box) => box.checked).length;
    for (const place of $$("[data-selected]")) place.textContent = chosen.toLocaleString("en-US");
    for (const part of $$("[data-if-selected]")) part.hidden = chosen === 0;
    for (const part of $$("[data-if-none]")) part.hidden = chosen !== 0;
    const all = $("#select-all");
    if (!all) return;
    all.checked = chosen > 0 && chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  }
  document.addEventListener("change", (event) => {
    if (event.target.id === "select-all") {
      for (const box of $$("input[name=ids]")) box.checked = event.target.checked;
    }
    if (event.target.name === "ids" || event.target.id === "select-all") countSelected();
  });

  // Completion of fields in the search.
  const search = $("#q"), menu = $("#q-menu");
  const words = () => $$("[data-words]").flatMap((part) => JSON.parse(part.dataset.words));
  const wordAt = () => /(?:^|[\s(])(-?)([\w.]*(?::[\w-]*)?)$/.exec(search.value.slice(0, search.selectionStart ?? 0));
  function suggest() {
    const [, , typed = ""] = wordAt() ?? [];
    const found = typed === ""
      ? []
      : words().filter(({ word }) => word.startsWith(typed) && word !== typed).slice(0, 8);
    menu.replaceChildren(...found.map(({ word, what }, i) => {
      const item = document.createElement("li"),
        name = document.createElement("b"),
        text = document.createElement("span");
      name.textContent = word;
      text.textContent = what;
      item.append(name, text);
      item.setAttribute("role", "option");
      item.id = `q-${i}`;
      item.addEventListener("mousedown", (event) => {
        event.preventDefault();
        take(word);
      });
      return item;
    }));
    menu.hidden = found.length === 0;
    search.setAttribute("aria-expanded", String(!menu.hidden));
    search.removeAttribute("aria-activedescendant");
  }
  function take(word) {
    const end = search.selectionStart ?? 0, typed = wordAt()?.[2] ?? "";
    search.setRangeText(word, end - typed.length, end, "end");
    menu.hidden = true;
    search.focus();
  }
  function choose(step) {
    const items = [...menu.children], at = items.findIndex((item) => item.ariaSelected === "true");
    const next = items[(at + step + items.length) % items.length];
    items.forEach((item) => item.ariaSelected = String(item === next));
    search.setAttribute("aria-activedescendant", next.id);
  }
  if (search && menu) {
    search.addEventListener("input", suggest);
    search.addEventListener("blur", () => menu.hidden = true);
    search.addEventListener("keydown", (event) => {
      if (menu.hidden) return;
      const chosen = $("[aria-selected=true] b", menu);
      if (event.key === "ArrowDown" || event.key === "ArrowUp") choose(event.key === "ArrowDown" ? 1 : -1);
      else if (event.key === "Tab" || (event.key === "Enter" && chosen)) take((chosen ?? $("b", menu)).textContent);
      else if (event.key === "Escape") menu.hidden = true;
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  // Keys. Rows that can be walked are links with data-row.
  function walk(step) {
    const rows = $$("[data-row]"),
      at = rows.findIndex((row) => row === document.activeElement || row.ariaCurrent === "true");
    rows[Math.max(0, Math.min(rows.length - 1, at + step))]?.focus();
  }
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches?.("input:not([type=checkbox]), textarea, select");
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
    const goTo = { o: "/", m: "/messages", b: "/jobs", l: "/journal" };
    if (event.key === "/") (search ?? $("nav a[href='/messages']"))?.focus();
    else if (event.key === "j") walk(1);
    else if (event.key === "k") walk(-1);
    else if (event.key === "x") $("input[name=ids]", document.activeElement?.closest("tr") ?? document)?.click();
    else if (event.key === "r") $("#verbs .go")?.click();
    else if (event.key === "c") $("[data-confirm]")?.focus();
    else if (event.key === "?") $("#keys")?.togglePopover?.();
    else if (event.key === "Escape" && !$("[popover]:popover-open")) $("[data-close]")?.click();
    else if (event.key === "g") document.body.dataset.go = "1";
    else if (document.body.dataset.go && goTo[event.key]) location.href = goTo[event.key];
    else return;
    if (event.key !== "g") delete document.body.dataset.go;
    event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const copy = event.target.closest?.("[data-copy]");
    if (copy) navigator.clipboard?.writeText(copy.dataset.copy).then(() => copy.classList.add("copied"));
  });

  function begin(root) {
    localize(root);
    countSelected();
  }
  document.addEventListener("htmx:afterSettle", ({ detail: { elt } }) => {
    begin(elt);
    // What is asked in a sheet opens it, and is answered there.
    elt.closest("[popover]:not(:popover-open)")?.showPopover();
    $("[autofocus]", elt)?.focus();
    if (elt.id === "panel") showCurrent();
    const waiting = $("[data-send-again]", elt)?.closest("form");
    if (waiting) setTimeout(() => htmx.trigger(waiting, "submit"), 1_000);
  });
  // The row of the message in the panel.
  function showCurrent() {
    const at = location.pathname + location.search;
    for (const row of $$("#rows [data-row]")) {
      if (row.getAttribute("href") === at) row.ariaCurrent = "true";
      else row.removeAttribute("aria-current");
    }
  }
  // An answer that refuses says why: show it where the form is.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status >= 400) event.detail.shouldSwap = true;
  });
  begin(document);
  open();
  $$("[data-stream]").forEach(follow);
  $("form[data-submit-now]")?.requestSubmit();
})();
