// The log of a scan: follows it while it grows, stops when the reader scrolls away or pauses it,
// and searches it.

const MOST_LINES = 5000;

// Also follows a log element that is added later, because the scan had not started or another
// attempt has begun.
let log = null;
function look() {
  const here = document.getElementById("log");
  if (here && here !== log) attend(here);
  log = here;
}

function attend(log) {
  const follow = document.getElementById("log-follow");
  const search = document.getElementById("log-search");
  const hits = document.getElementById("log-hits");
  const url = log.dataset.logUrl;
  let next = Number(log.dataset.next) || 0;
  let running = "running" in log.dataset;
  let following = true;
  // The line without an end yet stays the last one, and is replaced as it grows.
  const growing = log.querySelector(".growing") ?? document.createElement("span");
  growing.className = "growing";
  growing.remove();
  let lines = log.textContent.replace(/\n$/, "").split("\n");
  log.append(growing);
  // The log is on another machine: each response has its end, and replaces the shown lines.
  let isWindow = "window" in log.dataset;
  let timer = 0;
  let asking = false;

  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  const toEnd = () => (log.scrollTop = log.scrollHeight);

  function setFollowing(on) {
    following = on;
    follow.setAttribute("aria-pressed", String(on));
    follow.textContent = on ? (running ? "Following" : "At the end") : "Paused";
    if (on) toEnd();
  }

  // Lines become text nodes, never markup.
  function lineNode(line, word) {
    const row = document.createElement("span");
    if (!word) {
      row.textContent = `${line}\n`;
      return row;
    }
    row.className = "hit";
    const lower = line.toLowerCase();
    let from = 0;
    for (let at = lower.indexOf(word); at >= 0; at = lower.indexOf(word, from)) {
      row.append(line.slice(from, at));
      const mark = document.createElement("mark");
      mark.textContent = line.slice(at, at + word.length);
      row.append(mark);
      from = at + word.length;
    }
    row.append(`${line.slice(from)}\n`);
    return row;
  }

  function draw() {
    const word = search.value.trim().toLowerCase();
    const shown = word ? lines.filter((line) => line.toLowerCase().includes(word)) : lines;
    hits.textContent = word ? `${shown.length} of ${lines.length} lines` : "";
    log.replaceChildren(...shown.map((line) => lineNode(line, word)), growing);
    if (following) toEnd();
  }

  function add(more) {
    lines.push(...more);
    const word = search.value.trim().toLowerCase();
    if (lines.length > MOST_LINES) {
      lines = lines.slice(-MOST_LINES);
      return draw();
    }
    if (word) return draw();
    growing.before(...more.map((line) => lineNode(line, "")));
    if (following) toEnd();
  }

  async function ask() {
    clearTimeout(timer);
    // Two requests at the same time would get the same part twice.
    if (asking || document.hidden || !log.isConnected) return;
    asking = true;
    try {
      const response = await fetch(`${url}&from=${next}`, { cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (response.ok) {
        const part = await response.json();
        const grew = part.next > next;
        next = part.next;
        if (part.window) {
          if (part.lines.join("\n") !== lines.join("\n")) {
            lines = part.lines;
            draw();
          }
        } else {
          // The complete log has arrived on this server, and is read from its beginning.
          if (isWindow) lines = [];
          if (part.lines.length || isWindow) add(part.lines);
        }
        isWindow = part.window;
        running = part.running;
        if (growing.textContent !== (part.growing ?? "")) {
          growing.textContent = part.growing ?? "";
          if (following) toEnd();
        }
        if (!running && !grew) return setFollowing(following);
        timer = setTimeout(ask, part.lines.length && !part.window ? 300 : 1500);
        return;
      }
    } catch {
      // The page itself shows that the connection is lost.
    } finally {
      asking = false;
    }
    timer = setTimeout(ask, 5000);
  }

  follow.addEventListener("click", () => setFollowing(!following));
  search.addEventListener("input", draw);
  log.addEventListener("scroll", () => {
    if (following && !atEnd()) setFollowing(false);
    else if (!following && atEnd() && running) setFollowing(true);
  });
  document.addEventListener("visibilitychange", () => !document.hidden && running && log.isConnected && ask());
  toEnd();
  setFollowing(true);
  if (running) timer = setTimeout(ask, 500);
}

document.addEventListener("kastrel:changed", look);
look();
