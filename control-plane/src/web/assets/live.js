// Keeps a page as it would be if it were loaded again, and shows the output of steps as it comes.
"use strict";

const TAIL = 256 * 1024; // bytes of earlier output that are fetched
const MOST_LINES = 20000; // lines of a step that are kept on the page

// What is new of the page takes the place of what is old: elements that are marked live are
// exchanged, what is new in a list that grows is added, and the rest (open logs) stays.
async function refresh() {
  const answer = await fetch(location.href, { credentials: "same-origin" });
  if (!answer.ok || answer.redirected) { location.reload(); return; }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
  const main = document.querySelector("main");
  if (!fresh.querySelector("[data-grow]")) { main.innerHTML = fresh.innerHTML; }
  for (const list of fresh.querySelectorAll("[data-grow]")) {
    for (const item of [...list.children]) {
      if (!document.getElementById(item.id)) {
        document.getElementById(list.id).append(item);
        watch(item);
      }
    }
  }
  for (const part of fresh.querySelectorAll("[data-live]")) {
    document.getElementById(part.id)?.replaceWith(part);
  }
  if (!fresh.dataset.changes) { source?.close(); }
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
    try { await refresh(); } catch { /* the next change asks again */ }
  }
  asking = false;
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
    run.textContent = text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g, "");
    this.line.append(run);
  }
  trim() { for (; this.lines > MOST_LINES; this.lines--) { this.pre.firstChild.remove(); } }
}

// Shows the end of a step's output and follows it until there will be no more.
async function follow(pre) {
  if (pre.dataset.followed) { return; }
  pre.dataset.followed = "yes";
  const from = Math.max(0, Number(pre.dataset.size) - TAIL);
  const headers = from ? { Range: `bytes=${from}-` } : {};
  const answer = await fetch(pre.dataset.log + "&follow=true", { headers, credentials: "same-origin" });
  if (answer.status === 204 || !answer.ok) { return; }
  if (from) {
    const cut = document.createElement("a");
    cut.className = "cut";
    cut.href = pre.dataset.log;
    cut.textContent = `${from} bytes before this: download them all\n`;
    pre.append(cut);
  }
  const screen = new Screen(pre);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) { screen.end(); return; }
    screen.write(value);
  }
}

function watch(root) {
  for (const pre of root.querySelectorAll("pre[data-log]")) {
    const details = pre.closest("details");
    details.addEventListener("toggle", () => { if (details.open) { follow(pre); } });
    if (details.open) { follow(pre); }
  }
}

const main = document.querySelector("main");
watch(document);
if (main.dataset.changes) {
  source = new EventSource(main.dataset.changes);
  source.onmessage = changed;
} else if (main.dataset.every) {
  setInterval(() => { if (!document.hidden) { changed(); } }, Number(main.dataset.every) * 1000);
}
