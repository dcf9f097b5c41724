// Keeps the page of a scan up to date: asks for the status every few seconds, and loads the page once more at the end.

const scan = document.getElementById("scan");
const ended = ["completed", "failed", "cancelled"];
const severities = ["critical", "high", "medium", "low", "informational", "unknown"];
const pollMs = Number(scan?.dataset.pollMs) || 3000;

let timer = 0;
let failures = 0;
// When the scan started, by this browser's clock: the two clocks need not agree.
let startedHere = null;

const byId = (id) => document.getElementById(id);

function badge(kind, name) {
  const template = [...document.querySelectorAll(`template[data-${kind}-badge]`)].find((one) => one.dataset[`${kind}Badge`] === name);
  return template ? template.content.cloneNode(true) : document.createTextNode(name);
}

function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

function showDuration() {
  if (startedHere !== null) byId("scan-duration").textContent = duration(Math.max(0, Math.floor((Date.now() - startedHere) / 1000)));
}

function showBadge(status) {
  const place = byId("scan-badge");
  if (place.dataset.shown === status) return;
  // Told by screen readers, so only when it changes.
  if (place.dataset.shown || !place.querySelector(`.is-${status}`)) place.replaceChildren(badge("scan", status));
  place.dataset.shown = status;
}

function showWaiting(waiting) {
  const place = byId("scan-waiting");
  place.hidden = !waiting;
  if (!waiting) return;
  if (waiting.reason === "retry") place.textContent = `Attempt failed: ${waiting.detail ?? waiting.kind}. The next attempt starts at ${waiting.due.replace("T", " ").replace("Z", " UTC")}.`;
  else if (waiting.reason === "requeued") place.textContent = "Kastrel interrupted the attempt; it starts again as soon as there is a free place.";
  else place.textContent = "Waits for a free place.";
}

function cell(label, content) {
  const td = document.createElement("td");
  td.dataset.label = label;
  td.append(content);
  return td;
}

function chips(counts) {
  const all = document.createDocumentFragment();
  for (const name of severities) {
    if (!counts?.[name]) continue;
    const chip = document.createElement("span");
    chip.className = `sev sev-${name}`;
    chip.textContent = `${counts[name]} ${name}`;
    all.append(chip, " ");
  }
  return all.childNodes.length ? all : document.createTextNode("–");
}

function pluginRow(plugin) {
  const row = document.createElement("tr");
  row.dataset.plugin = plugin.plugin_name;
  row.dataset.seen = JSON.stringify(plugin);
  const name = document.createElement("th");
  name.scope = "row";
  name.dataset.label = "Plugin";
  name.textContent = plugin.plugin_name;
  const message = cell("Message", plugin.message ?? "");
  message.className = "pre";
  row.append(name, cell("State", badge("plugin", plugin.status)), cell("Findings", String(plugin.findings_count)), cell("Issues", chips(plugin.severities)), message);
  return row;
}

function showPlugins(plugins) {
  byId("no-plugins").hidden = plugins.length > 0;
  const table = byId("plugin-table");
  table.hidden = plugins.length === 0;
  const body = table.tBodies[0];
  const known = new Map([...body.rows].map((row) => [row.dataset.plugin, row]));
  const rows = plugins.map((plugin) => {
    const row = known.get(plugin.plugin_name);
    return row?.dataset.seen === JSON.stringify(plugin) ? row : pluginRow(plugin);
  });
  if (rows.length !== body.rows.length || rows.some((row, at) => body.rows[at] !== row)) body.replaceChildren(...rows);
}

function show(status, serverNow) {
  showBadge(status.status);
  showWaiting(status.waiting);
  showPlugins(status.results);
  if (status.started_at) {
    const elapsed = (Number.isNaN(serverNow) ? Date.now() : serverNow) - Date.parse(status.started_at);
    // Dates are to the second, so a new reading moves the clock only when it is clearly off.
    if (startedHere === null || Math.abs(Date.now() - elapsed - startedHere) > 2000) startedHere = Date.now() - elapsed;
    showDuration();
  }
}

function trouble(text) {
  const place = byId("scan-trouble");
  place.hidden = !text;
  place.textContent = text;
}

async function poll() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    const response = await fetch(scan.dataset.statusUrl, { headers: { accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (response.status === 404) return trouble("This scan is not there any more.");
    if (!response.ok) throw new Error(String(response.status));
    const status = await response.json();
    failures = 0;
    trouble("");
    show(status, Date.parse(response.headers.get("date") ?? ""));
    if (ended.includes(status.status)) return finish();
  } catch {
    failures += 1;
    trouble("The server does not answer; trying again.");
  }
  timer = setTimeout(poll, Math.min(pollMs * 2 ** failures, 30000));
}

// Once only: should another server still show an older state, the page must not load for ever.
function finish() {
  clearInterval(ticking);
  const key = `ended:${scan.dataset.statusUrl}`;
  try {
    if (sessionStorage.getItem(key)) return;
    sessionStorage.setItem(key, "1");
  } catch {
    // Without storage the server's word has to do: an ended scan's page has no script.
  }
  location.replace(location.pathname);
}

let ticking = 0;
if (scan?.dataset.statusUrl) {
  ticking = setInterval(showDuration, 1000);
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : poll()));
  timer = setTimeout(poll, pollMs);
}
