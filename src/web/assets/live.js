// Keeps a page up to date with the server's HTML, so that there is only one way to render it. The
// stream of a scan's page sends the HTML of the parts that changed. When the stream only reports a
// change, the script fetches the part of the page that changes, and updates what differs. Without a
// stream, it polls every few seconds. A hidden tab does not poll.

const HIDDEN_MS = 2000;
const LONGEST_WAIT_MS = 30000;
const TICK_MS = 5000;
const SLEPT_MS = 20000;
// One change reaches every page of all scans at once. Each page waits for a short random time, so
// that thousands of pages do not send requests at the same moment. Few pages show the same scan, so
// these update faster.
const SPREAD_MS = 1000;
const SPREAD_OF_ONE_SCAN_MS = 100;
// `EventSource.OPEN`, also for browsers without `EventSource`.
const OPEN = 1;

const live = document.getElementById("live");
let source = null;
let timer = 0;
let failures = 0;
let broken = 0;
let isOver = !live?.hasAttribute("data-live");
let lastTick = Date.now();
let asking = false;
let askAgain = false;
let isSoon = false;
let later = 0;
let hiding = 0;
let lastAsked = 0;
// The id of the last event about changed scans: the fetched part must contain that change.
let seen = "";
const pollMs = Number(live?.dataset.pollMs) || 3000;
const spreadMs = /\/scans\/\d/.test(live?.dataset.events) ? SPREAD_OF_ONE_SCAN_MS : SPREAD_MS;
const around = (ms) => ms * (0.75 + Math.random() / 2);

const trouble = (text) => {
  const place = document.getElementById("trouble");
  if (place.textContent === text && place.hidden === !text) return;
  place.textContent = text;
  place.hidden = !text;
};

// Makes `now` look like `next`, and changes only what differs: focus, open elements and selections
// stay.
function morph(now, next) {
  if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName) return now.replaceWith(next.cloneNode(true));
  if (now.nodeType === Node.TEXT_NODE) {
    if (now.data !== next.data) now.data = next.data;
    return;
  }
  if (now.nodeType !== Node.ELEMENT_NODE) return;
  // Elements that their own script draws are skipped, as long as they show the same thing: the log
  // of another attempt is another log.
  if (now.dataset?.keep !== undefined) return now.dataset.keep === next.dataset.keep ? undefined : now.replaceWith(document.importNode(next, true));
  if (now.isEqualNode(next)) return;
  // A time in the viewer's zone differs only in its text.
  if (now.nodeName === "TIME" && now.dateTime === next.dateTime) return;
  // So does a relative time that this page updates.
  if (now.dataset?.ago !== undefined && now.dataset.ago === next.dataset.ago) return;
  for (const { name, value } of [...next.attributes]) if (!(now.nodeName === "DETAILS" && name === "open") && now.getAttribute(name) !== value) now.setAttribute(name, value);
  for (const { name } of [...now.attributes]) if (!next.hasAttribute(name) && !kept(now, name)) now.removeAttribute(name);
  if (now.nodeName === "INPUT" || now.nodeName === "TEXTAREA" || now.nodeName === "SELECT") return;
  children(now, next);
}

const kept = (element, name) => name === "open" || name === "title" || (name === "disabled" && element.closest("#bulk")) || (name === "hidden" && element.classList.contains("js"));
const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.plugin || node.dataset.attempt || node.dataset.actor || node.dataset.node || "" : "");

function children(now, next) {
  const known = new Map();
  for (const child of now.childNodes) if (keyOf(child)) known.set(keyOf(child), child);
  const wanted = new Set([...next.childNodes].map(keyOf).filter(Boolean));
  let at = now.firstChild;
  for (const child of [...next.childNodes]) {
    const key = keyOf(child);
    while (at && keyOf(at) && !wanted.has(keyOf(at))) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
    const match = key ? known.get(key) : at && !keyOf(at) && at.nodeName === child.nodeName ? at : null;
    if (!match) {
      now.insertBefore(document.importNode(child, true), at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else now.insertBefore(match, at);
    morph(match, child);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

async function ask() {
  clearTimeout(timer);
  isSoon = false;
  if (document.hidden) return;
  if (asking) {
    askAgain = true;
    return;
  }
  asking = true;
  lastAsked = Date.now();
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html", "x-kastrel-poll": "1", "x-kastrel-part": "live", "x-kastrel-seen": seen }, cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(15000) });
    // The session has ended: the reload leads to the sign-in, and from there back to this page.
    if (response.status === 401) {
      stop();
      return location.reload();
    }
    if (response.status === 404) {
      stop();
      return trouble("This scan was deleted.");
    }
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (!response.ok) {
      failures += 1;
      // The page is outdated, but still worth reading: update only the health line.
      put(page, ["health"]);
      return trouble(`The server cannot show this page now: ${titleOf(page) || `status ${response.status}`}. The page may be out of date. Retrying…`);
    }
    failures = 0;
    put(page, ["standing", "live"]);
    document.title = page.title;
    trouble("");
    document.dispatchEvent(new CustomEvent("kastrel:changed"));
    // An ended scan has no stream and needs no further requests.
    if (!live.hasAttribute("data-live")) return stop();
  } catch {
    failures += 1;
    trouble("Connection lost. Reconnecting…");
  } finally {
    asking = false;
    if (!isOver) goOn();
  }
}

function goOn() {
  if (!askAgain) return schedule();
  askAgain = false;
  soon();
}

// Shows the parts that an event carries.
function show(parts) {
  for (const { id, html } of parts) {
    const now = document.getElementById(id);
    const page = new DOMParser().parseFromString(`<div>${html}</div>`, "text/html");
    if (now) children(now, page.body.firstChild);
  }
  // A response that is under way may be older.
  if (asking) askAgain = true;
  document.dispatchEvent(new CustomEvent("kastrel:changed"));
}

const put = (page, ids) => {
  for (const id of ids) {
    const [now, next] = [document.getElementById(id), page.getElementById(id)];
    if (now && next) morph(now, next);
  }
};
const titleOf = (page) => page.querySelector("#notice p, #problem")?.textContent.trim().replace(/\.$/, "");

// With an open stream, the script fetches the page only on an event, after a failure, and at a long
// interval.
function schedule() {
  // A fetch is already scheduled.
  if (isSoon) return;
  clearTimeout(timer);
  if (isOver) return;
  if (failures) timer = setTimeout(ask, around(Math.min(pollMs * 2 ** failures, LONGEST_WAIT_MS)));
  else if (source?.readyState !== OPEN) timer = setTimeout(ask, pollMs);
  // A message between nodes can be lost; a fetch at a long interval corrects that.
  else timer = setTimeout(ask, around(Math.max(pollMs * 10, 30000)));
}

// A burst of events causes one fetch, and a continuous series of events does not delay it.
function soon() {
  if (isSoon) return;
  isSoon = true;
  clearTimeout(timer);
  timer = setTimeout(ask, Math.max(60, 900 - (Date.now() - lastAsked)) + Math.random() * spreadMs);
}

function listen() {
  const url = live.dataset.events;
  if (!url || !window.EventSource || source || document.hidden || isOver) return;
  source = new EventSource(url);
  let first = true;
  const changed = (event) => {
    broken = 0;
    if (event.type === "changed") seen = event.lastEventId;
    soon();
  };
  source.addEventListener("open", () => {
    if (first) schedule();
    else soon();
    first = false;
  });
  for (const name of ["status", "changed", "end"]) source.addEventListener(name, changed);
  // The page shows the state of the scan.
  source.addEventListener("current", () => (broken = 0));
  source.addEventListener("parts", (event) => {
    broken = 0;
    show(JSON.parse(event.data).parts);
  });
  source.addEventListener("error", () => {
    // The browser reconnects by itself; meanwhile, a fetch updates the page.
    if (source?.readyState !== EventSource.CLOSED) return soon();
    // Refused, or too many streams: the script polls instead, and retries the stream later.
    silence();
    broken += 1;
    schedule();
    clearTimeout(later);
    later = setTimeout(listen, around(Math.min(5000 * 2 ** broken, 60000)));
  });
}

function silence() {
  source?.close();
  source = null;
}

function stop() {
  isOver = true;
  isSoon = false;
  silence();
  clearTimeout(timer);
  clearInterval(watchdog);
}

// After a laptop slept, its stream may be dead without an error. A jump of the clock shows that the
// laptop slept.
const watchdog = setInterval(() => {
  const slept = Date.now() - lastTick > SLEPT_MS;
  lastTick = Date.now();
  if (!slept || document.hidden) return;
  silence();
  wake();
}, TICK_MS);

document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) {
    hiding = setTimeout(() => {
      silence();
      clearTimeout(timer);
      isSoon = false;
    }, HIDDEN_MS);
  } else wake();
});
window.addEventListener("online", wake);
window.addEventListener("pageshow", (event) => event.persisted && wake());

function wake() {
  if (isOver) return;
  listen();
  ask();
}

if (!isOver) {
  listen();
  schedule();
}
