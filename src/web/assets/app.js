// The script of every page: times in the viewer's zone, running durations, theme, copying,
// selecting many scans.

const skew = document.body.dataset.now ? Date.now() - Date.parse(document.body.dataset.now) : 0;
const now = () => Date.now() - skew;

// The base path of all pages, which limits our cookies.
const base = new URL(document.querySelector("a.brand").href).pathname.replace(/\/$/, "") || "/";
const keep = (name, value) => (document.cookie = `${name}=${value}; path=${base}; max-age=31536000; samesite=lax`);

// The time zone of the page: the one that the server used, or this browser's own if the server does
// not have it yet. A cookie sends it to the server, so that the server formats times and parses
// days in the same zone. If the user chose UTC, UTC stays.
const here = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
let zone = document.body.dataset.zone || "UTC";
const kept = document.cookie.match(/(?:^|; )kastrel-zone=([^;]*)/)?.[1];
if (document.body.dataset.zone && kept !== "UTC" && kept !== here) {
  keep("kastrel-zone", here);
  zone = here;
  document.getElementById("zone").textContent = here;
}
if (document.body.dataset.zone) {
  document.getElementById("zone-utc").hidden = zone === "UTC";
  document.getElementById("zone-local").hidden = zone !== "UTC" || here === "UTC";
}

// The time format of the server: 14:03:22 today, 27 Nov 14:03 on another day, 27 Nov 2025 14:03 in
// another year.
const names = new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const parts = (at) => Object.fromEntries(names.formatToParts(at).map((part) => [part.type, part.value]));
const full = (at) => new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" }).format(at);

function clock(at) {
  const [then, today] = [parts(at), parts(new Date(now()))];
  const day = `${then.day} ${then.month}`;
  if (then.year !== today.year) return `${day} ${then.year} ${then.hour}:${then.minute}`;
  if (day !== `${today.day} ${today.month}`) return `${day} ${then.hour}:${then.minute}`;
  return `${then.hour}:${then.minute}:${then.second}`;
}

// The exact UTC time stays visible on hover.
function localTime(element) {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.getTime())) return;
  const text = clock(at);
  if (element.textContent !== text) element.textContent = text;
  const utc = element.dateTime.replace("T", " ").replace("Z", " UTC");
  element.title = zone === "UTC" ? utc : `${full(at)} ${zone} (${utc})`;
}

// Rounds down like the server and like a clock.
function duration(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return `0.${Math.floor(ms / 100)} s`;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

function relative(ms) {
  const seconds = Math.floor(Math.abs(ms) / 1000);
  if (seconds < 2) return "just now";
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const [size, unit] = units.find(([size]) => seconds >= size);
  const text = `${Math.floor(seconds / size)} ${unit}`;
  return ms < 0 ? `in ${text}` : `${text} ago`;
}

function tick() {
  if (document.hidden) return;
  const put = (element, text) => element.textContent !== text && (element.textContent = text);
  for (const element of document.querySelectorAll("[data-since]")) put(element, duration(Math.max(0, now() - Date.parse(element.dataset.since))));
  for (const element of document.querySelectorAll("[data-ago]")) put(element, relative(now() - Date.parse(element.dataset.ago)));
}

// Runs again after each change of the page.
function enhance(root = document) {
  root.querySelectorAll("time[datetime]").forEach(localTime);
  for (const field of root.querySelectorAll("input[data-zone-own]")) field.value = zone;
  root.querySelectorAll(".js[hidden]").forEach((element) => (element.hidden = false));
  tick();
  countPicks();
}

// The theme changes at once and without loading the page; the form works without script.
document.querySelector(".themes")?.addEventListener("submit", (event) => {
  const theme = event.submitter?.value;
  if (!theme) return;
  event.preventDefault();
  keep("kastrel-theme", theme);
  document.documentElement.dataset.theme = theme;
  for (const button of event.currentTarget.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === theme));
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const label = button.querySelector("span") ?? button;
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
    label.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
    label.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (label.textContent = before), 2000);
});

const picks = () => [...document.querySelectorAll("[data-pick]")];

function countPicks() {
  const count = document.getElementById("pick-count");
  if (!count) return;
  const picked = picks().filter((pick) => pick.checked);
  const chosen = picked.length;
  const text = chosen ? `${chosen} selected` : "";
  if (count.textContent !== text) count.textContent = text;
  const all = document.querySelector("[data-pick-all]");
  all.checked = chosen > 0 && chosen === picks().length;
  all.indeterminate = chosen > 0 && !all.checked;
  // Disable an action that applies to none of the selected scans.
  const isOpen = (pick) => ["pending", "running"].includes(pick.closest("tr").dataset.status);
  for (const button of document.querySelectorAll("#bulk button")) button.disabled = !picked.some((pick) => isOpen(pick) === (button.dataset.for === "open"));
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-pick-all]")) for (const pick of picks()) pick.checked = event.target.checked;
  if (event.target.matches("[data-pick], [data-pick-all]")) countPicks();
});

document.addEventListener("visibilitychange", tick);
document.addEventListener("kastrel:changed", () => enhance());
setInterval(tick, 1000);
enhance();
