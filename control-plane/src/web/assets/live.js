// Keeps a page as it would be if it were loaded again, and shows the output of steps as it comes.
"use strict";

const TAIL = 256 * 1024; // bytes of earlier output that are fetched
const MOST_LINES = 20000; // lines of a step that are kept on the page
const RETRY = 2000; // milliseconds until a call that failed is made again

// What is new of the page takes the place of what is old: elements that are marked live are
// exchanged, lists that grow get what is new and lose what is gone, and the rest (open logs) stays.
async function refresh() {
  const answer = await fetch(location.href, { credentials: "same-origin" });
  if (answer.redirected || answer.status === 404) { location.reload(); return; }
  if (!answer.ok) { throw new Error(`${answer.status}`); }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  const main = document.querySelector("main");
  if (main.dataset.sent) { return; }
  for (const list of fresh.querySelectorAll("[data-grow]")) { merge(list, document.getElementById(list.id)); }
  for (const part of fresh.querySelectorAll("[data-live]")) { exchange(part, document.getElementById(part.id)); }
  if (!fresh.dataset.changes) { delete main.dataset.changes; source?.close(); source = null; }
  await readLogs();
}

// A part that is as it was stays, with what is selected in it. Forms keep the number by which one that
// is sent twice is known, and a button that has the focus keeps it.
function exchange(part, shown) {
  if (!shown || shown === part) { return; }
  const once = shown.querySelector("input[name=once]")?.getAttribute("value");
  if (once) { for (const input of part.querySelectorAll("input[name=once]")) { input.setAttribute("value", once); } }
  if (shown.isEqualNode(part)) { return; }
  const focus = shown.contains(document.activeElement) ? document.activeElement.id : "";
  shown.replaceWith(part);
  if (focus) { document.getElementById(focus)?.focus({ preventScroll: true }); }
}

function merge(fresh, list) {
  if (!list || list === fresh) { return; }
  const named = new Set([...fresh.children].map((item) => item.id));
  for (const item of [...list.children]) { if (!named.has(item.id)) { item.remove(); } }
  let before = null;
  for (const item of [...fresh.children]) {
    let shown = document.getElementById(item.id);
    if (!shown) {
      shown = item;
      if (before) { before.after(item); } else { list.prepend(item); }
      watch(item);
    }
    before = shown;
  }
}

let source = null;
let asking = false;
let again = false;
async function changed() {
  again = true;
  if (asking) { return; }
  asking = true;
  while (again) {
    again = false;
    try { await refresh(); } catch { setTimeout(changed, RETRY); break; }
  }
  asking = false;
}

// Hears of changes while somebody looks. A browser gives up on a stream that is answered with an
// error, as while a server behind a proxy starts again, so that is tried anew here. A page in the
// background holds no connection, of which a browser has six for all pages of a server.
function listen() {
  if (source || document.hidden || !main.dataset.changes) { return; }
  source = new EventSource(main.dataset.changes);
  source.onmessage = changed;
  source.onerror = () => {
    if (source?.readyState !== EventSource.CLOSED) { return; }
    source = null;
    setTimeout(() => { changed(); listen(); }, RETRY);
  };
}

// Text with the colours and bold of a terminal; everything else that a terminal understands is
// left out. Nothing here becomes markup: all text is put in as text.
class Screen {
  constructor(pre) { this.pre = pre; this.style = ""; this.rest = ""; this.line = null; this.lines = 0; }
  write(text) {
    const follow = this.pre.scrollHeight - this.pre.scrollTop - this.pre.clientHeight < 40;
    text = this.rest + text;
    const open = text.match(/(\r|\x1b(\[[0-9;?]{0,32})?|\x1b\][^\x07\x1b]{0,256})$/);
    this.rest = open ? open[0] : "";
    if (open) { text = text.slice(0, open.index); }
    const parts = text.split(/(\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|\r*\n|\r+)/);
    for (let at = 0; at < parts.length; at++) { at % 2 ? this.control(parts[at]) : this.print(parts[at]); }
    if (follow) { this.pre.scrollTop = this.pre.scrollHeight; }
  }
  end() { this.print(this.rest.replace(/[\r\x1b].*/s, "")); this.rest = ""; }
  control(code) {
    if (code.endsWith("\n")) { this.print("\n"); this.line = null; this.lines++; this.trim(); return; }
    if (code.startsWith("\r")) { this.line?.replaceChildren(); return; }
    const colours = code.match(/^\x1b\[([0-9;]*)m$/);
    if (colours) { this.colour(colours[1].split(";").map(Number)); }
  }
  colour(codes) {
    let [colour, bold] = [this.style.match(/c\d/)?.[0] ?? "", this.style.includes("b")];
    for (let at = 0; at < codes.length; at++) {
      const code = codes[at];
      if (code === 0) { [colour, bold] = ["", false]; }
      else if (code === 1) { bold = true; }
      else if (code === 22) { bold = false; }
      else if (code >= 30 && code <= 37) { colour = "c" + (code - 30); }
      else if (code >= 90 && code <= 97) { colour = "c" + (code - 90); }
      else if (code === 39) { colour = ""; }
      else if (code === 38 || code === 48) { at += codes[at + 1] === 5 ? 2 : 4; }
    }
    this.style = [colour, bold ? "b" : ""].filter(Boolean).join(" ");
  }
  print(text) {
    if (!text) { return; }
    if (!this.line) { this.line = document.createElement("span"); this.pre.append(this.line); }
    const run = document.createElement("span");
    run.className = this.style;
    // What turns the direction of text or has no width is shown, not obeyed.
    run.textContent = text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g, "").replace(
      /[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g, "\ufffd",
    );
    this.line.append(run);
  }
  trim() { for (; this.lines > MOST_LINES; this.lines--) { this.pre.firstChild.remove(); } }
}

// What of a step's output is shown: the end of it, and from there on all.
class Log {
  constructor(pre) {
    this.pre = pre;
    this.screen = new Screen(pre);
    this.decoder = new TextDecoder();
    this.at = 0;
    this.cut = false;
    this.ended = false;
  }
  // As the page says of the step: the last refresh put it there.
  state() {
    const { size, ended } = document.getElementById(this.pre.dataset.of).dataset;
    return { size: Number(size), ended: ended === "true" };
  }
  // Leaves out what is too much for a page: at first, or after hours in the background.
  skip(size) {
    if (size - this.at <= TAIL) { return; }
    this.at = size - TAIL;
    this.cut = true;
    this.pre.replaceChildren();
    const link = document.createElement("a");
    link.className = "cut";
    link.href = this.pre.dataset.log;
    link.textContent = `The beginning is left out: download all ${size} bytes\n`;
    this.pre.append(link);
    this.screen = new Screen(this.pre);
    this.decoder = new TextDecoder();
  }
  // Leaves out the rest of the line in whose middle the output was cut; one without an end stays.
  whole(text) {
    if (!this.cut) { return text; }
    this.cut = false;
    return text.slice(text.indexOf("\n") + 1);
  }
  // Fetches what is new. One call at a time and none that is held: a page of many running tasks
  // would use up the connections of the browser, and never hear how they end.
  async read() {
    const { size, ended } = this.state();
    this.skip(size);
    while (this.at < size) {
      const headers = { Range: `bytes=${this.at}-` };
      const answer = await fetch(this.pre.dataset.log, { headers, credentials: "same-origin" });
      if (!answer.ok) { throw new Error(`${answer.status}`); }
      const bytes = new Uint8Array(await answer.arrayBuffer());
      if (!bytes.length) { break; }
      this.at += bytes.length;
      this.screen.write(this.whole(this.decoder.decode(bytes, { stream: true })));
    }
    if (ended && !this.ended) {
      this.ended = true;
      this.screen.write(this.decoder.decode());
      this.screen.end();
    }
  }
}

const logs = new Map();
let reading = Promise.resolve();
function readLogs() {
  reading = reading.catch(() => {}).then(readOpenLogs);
  return reading;
}

async function readOpenLogs() {
  for (const [pre, log] of logs) {
    if (!pre.isConnected) { logs.delete(pre); } else if (pre.closest("details").open) { await log.read(); }
  }
}

function show(pre) {
  if (!logs.has(pre)) { logs.set(pre, new Log(pre)); }
  readLogs().catch(() => setTimeout(() => show(pre), RETRY));
}

function watch(root) {
  for (const pre of root.querySelectorAll("pre[data-log]")) {
    const details = pre.closest("details");
    details.addEventListener("toggle", () => { if (details.open) { show(pre); } });
    if (details.open) { show(pre); }
  }
}

const main = document.querySelector("main");
watch(document);
// A form is sent once, and the page stays as it is until the answer comes. One that comes back out of
// the browser's memory may send again.
main.addEventListener("submit", (event) => {
  if (main.dataset.sent) { event.preventDefault(); }
  main.dataset.sent = "true";
});
addEventListener("pageshow", () => { delete main.dataset.sent; });
// Words about what was done are for the first look.
if (location.search.includes("done=")) {
  const address = new URL(location.href);
  address.searchParams.delete("done");
  history.replaceState(null, "", address);
}
if (main.dataset.changes) {
  listen();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { source?.close(); source = null; } else { changed(); listen(); }
  });
} else if (main.dataset.every) {
  setInterval(() => { if (!document.hidden) { changed(); } }, Number(main.dataset.every) * 1000);
}

// The code of a link with which a password is set is behind its `#`, which no server is told.
const code = document.getElementById("code");
if (code && location.hash.length > 1) {
  code.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
}
