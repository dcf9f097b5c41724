// Passkeys: has the authenticator of this browser make one or sign with one, and sends its answer
// with the form. The server checks everything. Without this script, or in a browser without
// passkeys, the buttons stay hidden.

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

// The server writes bytes as base64 for URLs.
function decoded(options) {
  const known = (list) => list?.map((one) => ({ ...one, id: bytes(one.id) }));
  const read = { ...options, challenge: bytes(options.challenge) };
  if (options.user) read.user = { ...options.user, id: bytes(options.user.id) };
  if (options.excludeCredentials) read.excludeCredentials = known(options.excludeCredentials);
  if (options.allowCredentials) read.allowCredentials = known(options.allowCredentials);
  return read;
}

function encoded({ id, rawId, type, response }) {
  const parts = { clientDataJSON: text(response.clientDataJSON) };
  if (response.attestationObject) {
    parts.attestationObject = text(response.attestationObject);
  } else {
    parts.authenticatorData = text(response.authenticatorData);
    parts.signature = text(response.signature);
    parts.userHandle = response.userHandle ? text(response.userHandle) : null;
  }
  return JSON.stringify({ id, rawId: text(rawId), type, response: parts });
}

async function ask(form) {
  const response = await fetch(form.dataset.passkeyUrl, { method: "POST", signal: AbortSignal.timeout(10000) });
  if (!response.ok) throw new Error("the server does not answer");
  return response.json();
}

function send(form, button, credential, state) {
  if (state) form.elements.passkey_state.value = state;
  form.elements.passkey_answer.value = encoded(credential);
  if (button?.hasAttribute("formaction")) form.action = button.formAction;
  form.submit();
}

function tell(form, message) {
  const note = form.querySelector("[data-passkey-note]");
  note.textContent = message;
  note.hidden = !message;
}

function reason(error) {
  if (error.name === "NotAllowedError") return "No passkey was used: it was cancelled, or the time is over.";
  if (error.name === "InvalidStateError") return "This device has a passkey of this account.";
  return "The passkey cannot be used in this browser. Try again.";
}

// The request that waits for a choice in the name field, on the login page.
let waiting = null;

async function use(form, button) {
  const password = form.querySelector("input[type=password]");
  if (password && !password.value) {
    tell(form, "Enter the current password first.");
    password.focus();
    return;
  }
  waiting?.abort();
  button.disabled = true;
  tell(form, "");
  try {
    const creation = form.dataset.passkeyCreate;
    if (creation) {
      send(form, button, await navigator.credentials.create({ publicKey: decoded(JSON.parse(creation)) }));
    } else {
      const asked = await ask(form);
      send(form, button, await navigator.credentials.get({ publicKey: decoded(asked.options) }), asked.state);
    }
  } catch (error) {
    tell(form, reason(error));
    button.disabled = false;
  }
}

// Offers passkeys among the names that the browser suggests. A request is valid for 5 minutes, so
// an unused one is replaced after 4.
async function offer(form) {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  for (let isOver = true; isOver; ) {
    isOver = false;
    const mine = (waiting = new AbortController());
    const timer = setTimeout(() => {
      isOver = true;
      mine.abort();
    }, 240000);
    try {
      const asked = await ask(form);
      const credential = await navigator.credentials.get({ publicKey: decoded(asked.options), mediation: "conditional", signal: mine.signal });
      if (credential) send(form, null, credential, asked.state);
    } catch {
      // The button shows the errors.
    }
    clearTimeout(timer);
  }
}

function prepare(form) {
  const { passkeyHost, passkeyAutofill } = form.dataset;
  const isHere = location.hostname === passkeyHost;
  // The login page has the password in any case.
  if (!isHere && passkeyAutofill !== undefined) return;
  for (const part of form.querySelectorAll("[data-passkey-shown]")) part.hidden = false;
  for (const part of form.querySelectorAll("[data-passkey-missing]")) part.hidden = true;
  for (const button of form.querySelectorAll("button[data-passkey]")) {
    button.disabled = !isHere;
    button.addEventListener("click", () => use(form, button));
  }
  if (!isHere) tell(form, `The passkeys of this server belong to the name ${passkeyHost} (setting server.public_url).`);
  if (isHere && passkeyAutofill !== undefined) offer(form);
}

if (window.PublicKeyCredential && navigator.credentials) {
  for (const form of document.querySelectorAll("form[data-passkey-host]")) prepare(form);
}
