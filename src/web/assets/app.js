// What every page has: times in the viewer's zone, running clocks, colours, copying, choosing many scans.

const skew = document.body.dataset.now ? Date.now() - Date.parse(document.body.dataset.now) : 0;
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const short = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const dated = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

// The exact UTC stays on hover; what is read is the viewer's own time.
function localTime(element) {
  const at = new Date(element.dateTime);
  if (Number.isNaN(at.getTime())) return;
  const now = new Date(Date.now() - skew);
  const isToday = now.toDateString() === at.toDateString();
  const text = (isToday ? clock : now.getFullYear() === at.getFullYear() ? short : dated).format(at);
  if (element.textContent !== text) element.textContent = text;
  element.title = `${element.dateTime.replace("T", " ").replace("Z", " UTC")} (${full.format(at)} here)`;
}

function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

function tick() {
  if (document.hidden) return;
  for (const element of document.querySelectorAll("[data-since]")) {
    const text = duration(Math.max(0, Math.floor((Date.now() - skew - Date.parse(element.dataset.since)) / 1000)));
    if (element.textContent !== text) element.textContent = text;
  }
}

// Again after each change of the page.
function enhance(root = document) {
  root.querySelectorAll("time[datetime]").forEach(localTime);
  root.querySelectorAll(".js[hidden]").forEach((element) => (element.hidden = false));
  tick();
  countPicks();
}

// Colours change at once and without loading the page; the form below works without script.
document.querySelector(".themes")?.addEventListener("submit", (event) => {
  const theme = event.submitter?.value;
  if (!theme) return;
  event.preventDefault();
  document.cookie = `kastrel-theme=${theme}; path=/; max-age=31536000; samesite=lax`;
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
  const chosen = picks().filter((pick) => pick.checked).length;
  const text = chosen ? `${chosen} chosen` : "";
  if (count.textContent !== text) count.textContent = text;
  const all = document.querySelector("[data-pick-all]");
  all.checked = chosen > 0 && chosen === picks().length;
  all.indeterminate = chosen > 0 && !all.checked;
  for (const button of document.querySelectorAll("#bulk button")) button.disabled = chosen === 0;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-pick-all]")) for (const pick of picks()) pick.checked = event.target.checked;
  if (event.target.matches("[data-pick], [data-pick-all]")) countPicks();
});

document.addEventListener("visibilitychange", tick);
document.addEventListener("kastrel:changed", () => enhance());
setInterval(tick, 1000);
enhance();
