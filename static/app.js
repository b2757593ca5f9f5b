// Enhances pages that work without it: local times, keys for the queue, one click one act.
"use strict";

// Times: the server writes UTC. The viewer's zone comes first, UTC stays beside it or in the title.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
const utcZone = zone === "UTC" || zone === "Etc/UTC";
const here = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const there = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const thereDay = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
for (const time of document.querySelectorAll("time.t")) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) continue;
  const utc = time.title || time.textContent;
  if (time.classList.contains("t-rel")) {
    time.title = utcZone ? utc : `${here.format(at)} (${utc})`;
  } else if (!utcZone) {
    time.textContent = here.format(at);
    time.title = utc;
    const sameDay = at.getDate() === at.getUTCDate();
    const beside = document.createElement("span");
    beside.className = "utc";
    const reading = `${(sameDay ? there : thereDay).format(at)} UTC`;
    beside.textContent = time.classList.contains("t-full") ? ` (${reading})` : ` ${reading}`;
    time.append(beside);
  } else {
    time.title = utc;
  }
}
for (const note of document.querySelectorAll("[data-zone]")) {
  if (!utcZone) note.textContent = `Times are in ${zone.replace(/_/g, " ")}, with UTC beside them.`;
}

// On a phone the navigation scrolls sideways; begin where the viewer is.
const current = document.querySelector(".nav a[aria-current=page]");
if (current && current.closest(".nav").scrollWidth > current.closest(".nav").clientWidth) {
  current.closest(".nav").scrollLeft = current.offsetLeft - 60;
}

// A form is sent once, however often it is clicked.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
  });
}
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[data-once]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-disabled");
  }
});

// Filters that are chosen, not typed, apply at once.
for (const field of document.querySelectorAll("[data-auto]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}

// Typing a length chooses "Another length".
for (const other of document.querySelectorAll("#other_amount, #other_unit")) {
  other.addEventListener("input", () => {
    const radio = document.querySelector("[data-other]");
    if (radio) radio.checked = true;
  });
}

// Only one small form is open at a time; Escape and a click elsewhere close it.
const asks = document.querySelectorAll("details.ask, details.me");
for (const ask of asks) {
  ask.addEventListener("toggle", () => {
    if (!ask.open) return;
    for (const other of asks) if (other !== ask) other.open = false;
    const field = ask.querySelector("input:checked") || ask.querySelector("textarea, input:not([type=hidden])");
    if (field) field.focus();
  });
}
document.addEventListener("click", (event) => {
  for (const ask of asks) if (ask.open && !ask.contains(event.target)) ask.open = false;
});

// Copying a secret that is shown once.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

// A textarea grows with what is typed into it.
for (const area of document.querySelectorAll("[data-grow]")) {
  const grow = () => { area.rows = Math.min(16, Math.max(4, area.value.split("\n").length + 1)); };
  area.addEventListener("input", grow);
}

// Selecting: only what can be answered together, one role and one policy version, can be selected together.
const picks = [...document.querySelectorAll("[data-pick]")];
const pickedNote = document.querySelector("[data-picked]");
const together = document.querySelector("[data-together]");
function picked() {
  const chosen = picks.filter((pick) => pick.checked);
  for (const pick of picks) pick.disabled = chosen.length > 0 && pick.dataset.pick !== chosen[0].dataset.pick;
  if (pickedNote) pickedNote.textContent = chosen.length === 0 ? "" : `${chosen.length} selected`;
  return chosen.length;
}
for (const pick of picks) pick.addEventListener("change", picked);
if (picks.length > 0) picked();

// Keys: "/" searches anywhere; in the queue j and k move, x selects, a approves, d denies, e opens, ? shows them all.
const queue = document.querySelector("[data-queue]");
const keysHelp = document.querySelector("[data-help]");
let at = -1;
function move(by) {
  const rows = [...queue.querySelectorAll("[data-row]")];
  if (rows.length === 0) return;
  at = Math.min(rows.length - 1, Math.max(0, at + by));
  for (const row of rows) row.classList.toggle("at", row === rows[at]);
  rows[at].querySelector("[data-open]").focus();
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const ask of asks) if (ask.open) { ask.open = false; ask.querySelector("summary").focus(); }
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("textarea, select, input:not([data-pick])")) return;
  if (event.key === "/") {
    const search = document.querySelector("[data-search]");
    if (search) { event.preventDefault(); search.focus(); }
    return;
  }
  if (!queue) return;
  // Answering keys work only while the row has the focus, so that a stray key answers nothing.
  const row = event.target.closest("[data-row]");
  const pick = row && row.querySelector("[data-pick]");
  const many = picks.some((one) => one.checked);
  if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "?" && keysHelp) keysHelp.open = !keysHelp.open;
  else if (event.key === "e" && row) row.querySelector("[data-open]").click();
  else if (event.key === "x" && pick && !pick.disabled) { pick.checked = !pick.checked; picked(); }
  else if (event.key === "X" && pick && !pick.disabled) {
    const on = !pick.checked;
    for (const one of picks) if (one.dataset.pick === pick.dataset.pick) one.checked = on;
    picked();
  }
  // Of many the key only leads to the button or the comment: a second key answers.
  else if (event.key === "a" && row) (many ? together.focus() : row.querySelector("[data-approve]")?.click());
  else if (event.key === "d" && row) (many ? document.getElementById("together-comment").focus() : row.querySelector("[data-deny]").click());
  else return;
  event.preventDefault();
});
