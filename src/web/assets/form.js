// The form of a new scan: validates each target while it is typed, keeps plugins together with
// their dependencies, and grows with the text. All of it is convenience: the server validates the
// form without this script too.

const form = document.getElementById("new-form");

if (form) {
  const target = document.getElementById("field-target");
  const boxes = () => [...form.querySelectorAll("input[name=plugins]")];
  const shown = (box) => box.closest("fieldset").checkVisibility?.() ?? true;
  let timer = 0;
  let asked = 0;

  function grow() {
    target.rows = Math.min(12, Math.max(1, target.value.split("\n").length));
  }

  // Enter begins a new line, as in every text field; Ctrl+Enter submits the form from any field.
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit(document.getElementById("submit"));
  });

  // Screen readers announce only the summary, so its element stays and its content changes. The
  // button stays as well, as it may have the focus.
  const PARTS = ["preview-summary", "preview-fates", "preview-start"];
  function show(page) {
    const [button, next] = [document.getElementById("start-all"), page?.getElementById("start-all")];
    for (const id of PARTS) {
      let [now, then] = [document.getElementById(id), page?.getElementById(id)];
      if (id === "preview-start" && button && next) [now, then] = [button, next];
      if (!then) now.replaceChildren();
      else if (now.innerHTML !== then.innerHTML) now.replaceChildren(...document.importNode(then, true).childNodes);
    }
  }

  async function check() {
    const mine = ++asked;
    if (!target.value.trim()) return show(null);
    try {
      const response = await fetch(form.dataset.previewUrl, { method: "POST", body: new URLSearchParams(new FormData(form)), signal: AbortSignal.timeout(10000) });
      if (!response.ok || mine !== asked) return;
      show(new DOMParser().parseFromString(await response.text(), "text/html"));
      const refused = document.querySelector("#preview-fates .badge.is-failed");
      target.setAttribute("aria-invalid", String(Boolean(refused)));
      document.getElementById("wrong-target")?.remove();
    } catch {
      // The submission itself shows the errors.
    }
  }

  target.addEventListener("input", () => {
    grow();
    clearTimeout(timer);
    timer = setTimeout(check, 350);
  });

  const box = (name) => boxes().find((one) => one.value === name);
  const needs = (one) => one.dataset.needs.split(",").map((name) => name.trim()).filter(Boolean);

  function choose(one) {
    for (const name of needs(one)) {
      const other = box(name);
      if (other && !other.checked) {
        other.checked = true;
        choose(other);
      }
    }
  }

  function drop(one) {
    for (const other of boxes()) {
      if (other.checked && needs(other).includes(one.value)) {
        other.checked = false;
        drop(other);
      }
    }
  }

  function count() {
    // Plugins that the mode hides are not sent.
    for (const one of boxes()) one.disabled = !shown(one);
    const chosen = boxes().filter((one) => one.checked && shown(one));
    const needed = new Set(chosen.flatMap(needs));
    for (const one of boxes()) one.closest(".card").classList.toggle("needed", one.checked && needed.has(one.value));
    document.getElementById("plugin-count").textContent = chosen.length ? `${chosen.length} of ${boxes().filter(shown).length} selected` : "None selected: all plugins of this mode run.";
  }

  form.addEventListener("change", (event) => {
    if (event.target.name === "plugins") event.target.checked ? choose(event.target) : drop(event.target);
    if (event.target.name === "plugins" || event.target.name === "mode") count();
  });
  document.getElementById("plugins-all").addEventListener("click", () => {
    for (const one of boxes().filter(shown)) one.checked = true;
    count();
  });
  document.getElementById("plugins-none").addEventListener("click", () => {
    for (const one of boxes()) one.checked = false;
    count();
  });
  grow();
  count();
}
